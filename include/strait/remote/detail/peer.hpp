// One connection: an RPC system over a checked stream, and the watch over whether it lives.
//
// Invariants
// - Lives in the drive: made, used and destroyed under the transport lock. Other threads post.
// - `down` is told once, from a job (never inside a KJ callback), and may destroy the peer. After
//   it nothing of the peer calls anybody.
// - Any byte from the other side counts as a sign of life. The dialling side pings when it has
//   heard nothing for `heartbeat`; the ping is the other side's sign, its answer this side's. So
//   both notice a stopped peer within `dead`, with one ping in flight.
// - The accepting side ends a connection that has not been `established` within `handshake`, and
//   until then reads frames of 4 KiB at most.
// - Teardown: capabilities, then the RPC system, then the network, then the stream.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <capnp/capability.h>
#include <capnp/message.h>
#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <strait/remote/detail/driver.hpp>
#include <strait/remote/detail/protocol.hpp>
#include <strait/remote/detail/stream.hpp>

namespace strait::inline STRAIT_ABI::detail {

struct peer_options {
  nanos heartbeat = 1'000'000'000;
  nanos dead = 5'000'000'000;
  nanos handshake = 5'000'000'000;
  std::size_t max_item = 1 << 20;          ///< Bytes of one value.
  std::size_t flow_limit_words = 4 << 17;  ///< Unanswered calls that are kept: 4 MiB.
  int window = 256 << 10;                  ///< What SO_SNDBUF is said to be.

  /// The largest frame: one value, or one batch, and what the RPC puts around it.
  std::size_t frame_words() const { return (max_item + (128 << 10)) / 8; }
};

class peer final {
 public:
  using down = std::function<void(std::string why)>;

  /// The dialling side.
  static std::unique_ptr<peer> dial(driver& d, unique_fd fd, const peer_options& o, down fn) {
    std::unique_ptr<peer> p(new peer(d, std::move(fd), o, std::move(fn), true));
    p->rpc_ = kj::heap<system>(capnp::makeRpcClient(*p->network_));
    p->start();
    return p;
  }

  /// The accepting side, which offers `bootstrap`.
  static std::unique_ptr<peer> accept(driver& d, unique_fd fd, const peer_options& o,
                                      protocol::client bootstrap, down fn) {
    std::unique_ptr<peer> p(new peer(d, std::move(fd), o, std::move(fn), false));
    p->rpc_ = kj::heap<system>(capnp::makeRpcServer(*p->network_, kj::mv(bootstrap)));
    p->start();
    return p;
  }

  ~peer() noexcept {
    driver_.require_drive();
    *alive_ = false;
    tasks_ = nullptr;
    pinged_ = nullptr;
    rpc_ = nullptr;
    network_ = nullptr;
    stream_ = nullptr;
    driver_.add_live(-1);
  }

  /// The other side's bootstrap object.
  protocol::client bootstrap() {
    driver_.require_drive();
    capnp::MallocMessageBuilder message(4);
    auto id = message.getRoot<capnp::rpc::twoparty::VatId>();
    id.setSide(capnp::rpc::twoparty::Side::SERVER);
    stream_->urgent();
    return rpc_->bootstrap(id);
  }

  /// The handshake is over: larger frames, no more deadline. `ping`: the dialling side's session.
  void established(kj::Maybe<protocol::client> ping = nullptr) {
    established_ = true;
    pinged_ = kj::mv(ping);
    stream_->raise_limit(options_.frame_words());
    watch(++pace_);  // from now on at the heartbeat's pace
  }

  /// What the other side asked for may be more often than what this side would.
  void heartbeat_at_most(nanos every) {
    if (every > 0 && every < options_.heartbeat) options_.heartbeat = every;
  }

  /// Output of this drive goes out at its end, whatever it is.
  void urgent() noexcept { stream_->urgent(); }

  /// Ends the connection; `down` follows with this reason unless there is one already.
  void abort(std::string why) {
    driver_.require_drive();
    stream_->abort(std::move(why));
    went_down();
  }

  frame_stream& stream() noexcept { return *stream_; }
  bool standing() const noexcept { return !down_told_ && !stream_->ended(); }

 private:
  using system = capnp::RpcSystem<capnp::rpc::twoparty::VatId>;

  peer(driver& d, unique_fd fd, const peer_options& o, down fn, bool dialling)
      : driver_(d), options_(o), down_(std::move(fn)) {
    driver_.require_drive();
    stream_ = kj::heap<frame_stream>(driver_, std::move(fd), frame_limits{}, options_.window);
    capnp::ReaderOptions reading;
    reading.traversalLimitInWords = options_.frame_words() * 8;  // of what is sent as well
    reading.nestingLimit = 32;
    auto side = dialling ? capnp::rpc::twoparty::Side::CLIENT : capnp::rpc::twoparty::Side::SERVER;
    network_ = kj::heap<capnp::TwoPartyVatNetwork>(*stream_, side, reading);
    driver_.add_live(1);
  }

  void start() {
    rpc_->setFlowLimit(options_.flow_limit_words);
    tasks_ = kj::heap<kj::TaskSet>(failures_);
    tasks_->add(network_->onDisconnect().then([this] { went_down(); }));
    born_ = driver_.now();
    watch(pace_);
  }

  /// Looks after the connection at half the heartbeat's pace.
  void watch(unsigned pace) {
    nanos every = std::min(options_.heartbeat, options_.dead) / 2;
    if (!established_) every = std::min(every, options_.handshake / 2);
    tasks_->add(driver_.timer()
                    .afterDelay(std::max<nanos>(every, 1'000'000) * kj::NANOSECONDS)
                    .then([this, pace] {
                      if (pace == pace_ && look()) watch(pace);
                    }));
  }

  bool look() {
    nanos now = driver_.turn_time();
    nanos silent = now - stream_->heard();
    if (!established_ && now - born_ >= options_.handshake) {
      abort("no handshake in " + seconds(options_.handshake));
    } else if (established_ && silent >= options_.dead) {
      abort("no sign of life for " + seconds(options_.dead));
    } else if (silent >= options_.heartbeat && !ping_under_way_) {
      if (auto* to = as_pointer(pinged_)) ping(*to);
    }
    return standing();
  }

  void ping(protocol::client& to) {
    using method = protocol::session::ping;
    auto request = protocol::make_request<protocol::session, method>(to);
    protocol::params_of<method>(request).set(method::nonce, ++nonce_);
    ping_under_way_ = true;
    stream_->urgent();
    // An error is an answer too: only silence counts against the peer.
    tasks_->add(request.send().then([this](protocol::response&&) { ping_under_way_ = false; },
                                    [this](kj::Exception&&) { ping_under_way_ = false; }));
  }

  void went_down() {
    if (std::exchange(down_told_, true)) return;
    std::string why = stream_->why();
    if (why.empty()) why = "the peer closed the connection";
    driver_.post([this, alive = alive_, why = std::move(why)]() mutable {
      if (!*alive) return;
      auto fn = std::move(down_);
      if (fn) fn(std::move(why));
    });
  }

  /// What fails here fails with the connection, which is told through `down`.
  struct failures final : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}
  };

  static std::string seconds(nanos n) {
    return n % 1'000'000'000 == 0 ? std::to_string(n / 1'000'000'000) + " s"
                                  : std::to_string(n / 1'000'000) + " ms";
  }

  driver& driver_;
  peer_options options_;
  down down_;
  bool established_ = false;
  bool down_told_ = false;
  bool ping_under_way_ = false;
  std::uint64_t nonce_ = 0;
  unsigned pace_ = 0;
  nanos born_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  kj::Own<frame_stream> stream_;
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  kj::Own<system> rpc_;
  kj::Maybe<protocol::client> pinged_;
  failures failures_;
  kj::Own<kj::TaskSet> tasks_;
};

}  // namespace strait::inline STRAIT_ABI::detail
