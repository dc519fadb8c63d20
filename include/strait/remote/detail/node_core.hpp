// A node inside: what it serves, whom it is connected to, and how it ends.
//
// Invariants
// - Sessions, the listener and connectors live in the drive; the table of served channels has a
//   mutex, since goroutines serve and binds look it up.
// - Dials to one address share one session. A session that is down is forgotten at once, so the
//   next dial connects anew.
// - All nodes of a runtime share one driver, which becomes the runtime's poller.
// - The end of `run`: links drain for up to the linger time; then goodbyes are sent, connections
//   closed and the links' goroutines ended, in `stop`. KJ objects die in the drive that does it.
#pragma once

#include <strait/remote/detail/inbox.hpp>
#include <strait/remote/detail/outbox.hpp>
#include <strait/remote/detail/served.hpp>
#include <strait/remote/detail/socket.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <strait/blocking.hpp>
#include <strait/remote/options.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// What the runtime keeps of its driver: halts it at the runtime's end, on the thread of `run`.
struct driver_keeper {
  explicit driver_keeper(std::shared_ptr<driver> d) noexcept : held(std::move(d)) {}
  driver_keeper(const driver_keeper&) = delete;
  driver_keeper& operator=(const driver_keeper&) = delete;
  ~driver_keeper() { held->halt(); }
  const std::shared_ptr<driver> held;
};

/// The runtime's driver: made, and made its poller, by the first node.
inline std::shared_ptr<driver> driver_of(scheduler& s) {
  static const char tag = 0;
  std::lock_guard hold(s.services_lock);
  for (auto& [key, value] : s.locals) {
    if (key == &tag) return static_cast<driver_keeper*>(value.get())->held;
  }
  if (s.sim() != nullptr) throw misuse("remote channels cannot be simulated yet");
  driver_options o;
  o.reserve = s.worker_count() <= 2;
  auto d = std::make_shared<driver>(o);
  s.locals.emplace_back(&tag, std::make_shared<driver_keeper>(d));
  s.replace_poller(d);
  return d;
}

class node_core final : public service, public std::enable_shared_from_this<node_core> {
 public:
  static std::shared_ptr<node_core> make(scheduler& s, node_options o) {
    auto core = std::make_shared<node_core>(s, std::move(o));
    std::lock_guard hold(s.services_lock);
    s.services.push_back(core);
    return core;
  }

  node_core(scheduler& s, node_options o)
      : driver_(driver_of(s)),
        sched_(s),
        options_(std::move(o)),
        counters_(std::make_shared<node_counters>()) {
    std::random_device random;
    for (int i = 0; i < 4; ++i) {
      const unsigned word = random();
      incarnation_.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
    char host[256] = "node";
    ::gethostname(host, sizeof host - 1);
    if (options_.name().empty())
      options_.name(std::string(host) + ":" + std::to_string(::getpid()));
  }

  driver& drv() noexcept { return *driver_; }
  const node_options& options() const noexcept { return options_; }

  // -- goroutines' side ---------------------------------------------------------------------------

  void serve(std::shared_ptr<served> s) {
    if (s->name.empty()) throw misuse("a served channel needs a name");
    if (s->capacity == 0) {
      throw dial_error("strait: cannot serve '" + s->name +
                       "': rendezvous channels across "
                       "machines come later; give it a capacity");
    }
    std::lock_guard hold(lock_);
    if (!served_.emplace(s->name, s).second) {
      throw dial_error("strait: '" + s->name + "' is served already");
    }
  }

  bool unserve(const std::string& name) {
    std::shared_ptr<served> gone;
    {
      std::lock_guard hold(lock_);
      auto at = served_.find(name);
      if (at == served_.end()) return false;
      gone = std::move(at->second);
      served_.erase(at);
    }
    gone->drop();
    return true;
  }
  void unserve_all() {
    std::map<std::string, std::shared_ptr<served>> gone;
    {
      std::lock_guard hold(lock_);
      gone.swap(served_);
    }
    for (auto& [name, s] : gone) s->drop();
  }

  static address parse(const std::string& text) {
    try {
      return address::parse(text);
    } catch (const std::invalid_argument& e) {
      throw dial_error(std::string("strait: ") + e.what());
    }
  }

  /// Resolves off the workers, unless that takes no time.
  static task<std::vector<endpoint>> endpoints_of(address a) {
    try {
      if (numeric(a)) co_return resolve(a);
      auto lookup = [&a] { return resolve(a); };
      co_return co_await blocking(lookup);
    } catch (const std::runtime_error& e) {
      throw dial_error(std::string("strait: ") + e.what());
    }
  }

  static void check_local(const address& a, const std::vector<endpoint>& all, bool insecure) {
    if (insecure) return;
    for (const endpoint& e : all) {
      if (e.local()) continue;
      throw dial_error("strait: " + a.node() +
                       " can be reached from other machines, and there is no "
                       "encryption yet: allow it with insecure(), or use a loopback address");
    }
  }

  task<> listen(std::string text, bool insecure) {
    address a = parse(text);
    if (!a.name.empty()) {
      throw dial_error("strait: cannot listen on '" + text + "': it names a channel");
    }
    std::vector<endpoint> all = co_await endpoints_of(a);
    check_local(a, all, insecure || options_.is_insecure());
    unique_fd fd;
    try {
      fd = listen_on(a, all);
    } catch (const std::runtime_error& e) {
      throw dial_error(std::string("strait: ") + e.what());
    }
    {
      std::lock_guard hold(lock_);
      address_ = a.node();
    }
    driver_->post([self = shared_from_this(), fd = std::move(fd)]() mutable {
      self->listening_.push_back(std::make_unique<listener>(
          self->drv(), std::move(fd),
          [core = self.get()](unique_fd s, bool) { core->accept(std::move(s)); }));
    });
  }

  std::string local_address() {
    std::lock_guard hold(lock_);
    return address_;
  }

  using session_reply = reply<std::shared_ptr<session>>;

  /// The session with `a`, made if there is none.
  task<std::shared_ptr<session>> connect(address a, dial_options o) {
    std::vector<endpoint> all = co_await endpoints_of(a);
    check_local(a, all, o.is_insecure() || options_.is_insecure());
    auto answer = std::make_shared<session_reply>();
    driver_->post([self = shared_from_this(), a, all, o, answer]() mutable {
      self->connect_in_drive(std::move(a), std::move(all), o, std::move(answer));
    });
    co_await answer->wait();
    co_return answer->get();
  }

  receiver<peer_event> events() {
    std::lock_guard hold(lock_);
    if (!events_rx_) {
      auto ends = make_chan<peer_event>(4096);
      events_tx_ = std::move(ends.in);
      events_rx_ = std::move(ends.out);
    }
    return events_rx_;
  }

  node_stats stats() const noexcept {
    node_stats s;
    s.values_in = counters_->values_in;
    s.values_out = counters_->values_out;
    s.redelivered = counters_->redelivered;
    s.connections = counters_->connections;
    s.bytes_in = counters_->bytes_in;
    s.bytes_out = counters_->bytes_out;
    return s;
  }

  /// The node's handle is gone: nobody new may come; what is under way goes on.
  void close() {
    unserve_all();
    driver_->post([self = shared_from_this()] { self->listening_.clear(); });
  }

  // -- service ------------------------------------------------------------------------------------

  bool drained() override {
    for (auto& s : all_sessions()) {
      for (auto& link : s->links()) {
        if (!link->drained()) return false;
      }
    }
    return true;
  }

  std::string abandon() override {
    std::string lines;
    for (auto& s : all_sessions()) {
      for (auto& link : s->links()) {
        if (!link->drained()) lines += link->left_over();
      }
    }
    return lines;
  }

  std::string lost() override {
    std::lock_guard hold(counters_->lost_lock);
    return counters_->lost;
  }

  void stop() override {
    for (auto& s : all_sessions()) {
      for (auto& link : s->links()) link->stop();
    }
    unserve_all();
    {
      std::lock_guard hold(lock_);
      events_tx_ = {};
      events_rx_ = {};
    }
    driver_->post([self = shared_from_this()] { self->close_in_drive(); });
    driver_->drive(true);
  }

  // -- the drive's side ---------------------------------------------------------------------------

  std::shared_ptr<served> find(const std::string& name) {
    std::lock_guard hold(lock_);
    auto at = served_.find(name);
    return at == served_.end() ? nullptr : at->second;
  }

  void write_info(protocol::any::Builder p) {
    using info = protocol::peer_info;
    protocol::writer w(p, info::size);
    w.bytes(info::incarnation, incarnation_);
    w.text(info::name, options_.name());
    w.set(info::protocol, protocol::version);
    w.set(info::max_item_bytes, static_cast<std::uint32_t>(options_.max_item()));
    w.set(info::heartbeat_ms, static_cast<std::uint32_t>(options_.heartbeat().count() / 1'000'000));
    w.set(info::grace_ms, 0U);
  }

  void tell(peer_event e) {
    std::lock_guard hold(lock_);
    if (!events_tx_) return;
    events_tx_.try_send(std::move(e));
    driver_->made_ready();
  }

  peer_options options_of_peer() const {
    peer_options o;
    o.heartbeat = options_.heartbeat().count();
    o.dead = options_.dead().count();
    o.max_item = options_.max_item();
    return o;
  }

  link_limits limits() const {
    link_limits l;
    l.window_items = std::max(1U, options_.window());
    l.window_bytes = options_.window_bytes();
    l.most_items = std::max(l.window_items, options_.most_window());
    l.most_bytes = std::max(options_.window_bytes(), options_.most_window_bytes());
    l.max_item = options_.max_item();
    return l;
  }

 private:
  /// One address that was dialled.
  struct dialled {
    std::shared_ptr<session> s;
    std::unique_ptr<connector> connecting;
    std::vector<std::shared_ptr<session_reply>> waiters;
    bool up = false;
  };

  void accept(unique_fd fd);  // hub.hpp
  void connect_in_drive(address a, std::vector<endpoint> all, dial_options o,
                        std::shared_ptr<session_reply> answer);
  void open_dialled(const std::string& key, unique_fd fd, dial_options o);
  void dial_failed(const std::string& key, const std::string& why);
  void close_in_drive();

  std::shared_ptr<session> make_session(std::string peer_address) {
    auto s =
        std::make_shared<session>(driver_, sched_, counters_, limits(), std::move(peer_address));
    std::lock_guard hold(lock_);
    sessions_.push_back(s);
    return s;
  }
  void forget(const session* s) {
    std::lock_guard hold(lock_);
    std::erase_if(sessions_, [&](auto& p) { return p.get() == s; });
  }
  std::vector<std::shared_ptr<session>> all_sessions() {
    std::lock_guard hold(lock_);
    return sessions_;
  }

  const std::shared_ptr<driver> driver_;
  scheduler& sched_;
  node_options options_;
  const std::shared_ptr<node_counters> counters_;
  std::string incarnation_;

  std::mutex lock_;  // guards what follows
  std::map<std::string, std::shared_ptr<served>> served_;
  std::vector<std::shared_ptr<session>> sessions_;
  std::string address_;
  sender<peer_event> events_tx_;
  receiver<peer_event> events_rx_;

  // In the drive:
  std::vector<std::unique_ptr<listener>> listening_;
  std::map<std::string, std::shared_ptr<dialled>> dialled_;
  std::size_t accepted_ = 0;
  bool closed_ = false;
};

}  // namespace strait::inline STRAIT_ABI::detail
