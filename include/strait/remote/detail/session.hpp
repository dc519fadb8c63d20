// One connection as links see it: calls out, links that live on it, and its one end.
//
// Invariants
// - Everything but `drained`-like questions happens in the drive. A session's links hear of its end
//   once (`connection_down`), from a job; then every KJ object of theirs and of the session is
//   destroyed, right there.
// - What a peer must not do (break its credit, send what cannot be read) ends the connection with
//   one line that says so: `abort`.
// - A link leaves its session when both sides have finished.
#pragma once

#include <strait/remote/detail/peer.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <strait/detail/spawn.hpp>
#include <strait/go.hpp>
#include <strait/remote/detail/event.hpp>

namespace strait::inline STRAIT_ABI::detail {

class session;

/// What a node counts; read by anyone.
struct node_counters {
  std::atomic<std::uint64_t> values_in{0}, values_out{0}, redelivered{0}, connections{0},
      bytes_in{0}, bytes_out{0};

  void lose(const std::string& lines) {
    std::lock_guard hold(lost_lock);
    lost += lines;
  }
  std::mutex lost_lock;
  std::string lost;  // what was sent, and nobody was left to be told that it did not arrive
};

/// One end of a channel across a connection.
class link_base : public std::enable_shared_from_this<link_base> {
 public:
  explicit link_base(std::shared_ptr<session> s) : session_(std::move(s)) {}
  virtual ~link_base() = default;
  link_base(const link_base&) = delete;
  link_base& operator=(const link_base&) = delete;

  /// In the drive, once.
  virtual void connection_down(const std::string& why) = 0;
  /// Any thread: whether the end of the program may come.
  virtual bool drained() noexcept { return true; }
  /// One line about what would be lost; empty if nothing.
  virtual std::string left_over() { return {}; }
  /// Ends the link's goroutines, for the runtime ends.
  virtual void stop() noexcept = 0;

  /// Outboxes, in the drive: values sent by the user, and handed to the connection, so far.
  virtual std::uint64_t sent_so_far() noexcept { return 0; }
  virtual std::uint64_t pushed_so_far() noexcept { return 0; }

 protected:
  template <class L>
  std::shared_ptr<L> self() {
    return std::static_pointer_cast<L>(shared_from_this());
  }
  const std::shared_ptr<session> session_;
};

struct link_limits {
  std::uint32_t window_items = 64;
  std::uint64_t window_bytes = 256 << 10;
  std::uint32_t most_items = 65536;
  std::uint64_t most_bytes = 4 << 20;
  std::size_t max_item = 1 << 20;
  std::size_t batch_bytes = 64 << 10;
};

class session final : public std::enable_shared_from_this<session> {
 public:
  using ended = std::function<void(const std::string& why, bool in_order)>;

  session(std::shared_ptr<driver> d, scheduler& s, std::shared_ptr<node_counters> c,
          link_limits limits, std::string address)
      : driver_(std::move(d)),
        sched_(s),
        counters_(std::move(c)),
        limits_(limits),
        address_(std::move(address)) {}

  const std::shared_ptr<driver>& drv() const noexcept { return driver_; }
  scheduler& sched() const noexcept { return sched_; }
  node_counters& counters() const noexcept { return *counters_; }
  const link_limits& limits() const noexcept { return limits_; }
  /// The other side, for messages.
  const std::string& address() const noexcept { return address_; }

  // -- in the drive -------------------------------------------------------------------------------

  /// Takes the connection over; `fn` hears of its end, last.
  void start(std::unique_ptr<peer> p, ended fn) {
    peer_ = std::move(p);
    ended_ = std::move(fn);
    tasks_ = kj::heap<kj::TaskSet>(failures_);
  }

  /// The other side's Session object; on the dialling side, once the hub has answered.
  void remote(protocol::client c) { remote_ = kj::mv(c); }
  protocol::client* remote() noexcept { return as_pointer(remote_); }

  /// Ends the connection in order: what is written goes out first.
  void close() {
    if (!peer_) return;
    peer_->stream().close_in_order("this node ended");
    went_down("this node ended");
  }

  bool standing() const noexcept { return peer_ != nullptr && peer_->standing(); }
  peer& connection() noexcept { return *peer_; }

  void urgent() noexcept {
    if (peer_) peer_->urgent();
  }

  /// Sends `r` and calls `then(response)` or `otherwise(exception)`, or neither once the connection
  /// is down. Lazy unless `urgent` was called.
  template <class Then, class Otherwise>
  void call(protocol::request&& r, Then then, Otherwise otherwise) {
    if (!standing()) return;
    tasks_->add(r.send().then(
        [this, then = std::move(then)](protocol::response&& answer) mutable {
          try {
            then(protocol::reader(answer));
          } catch (const std::exception& e) {
            abort(std::string("the peer's answer cannot be used: ") + e.what());
          }
        },
        [otherwise = std::move(otherwise)](kj::Exception&& e) mutable { otherwise(e); }));
  }
  template <class Then>
  void call(protocol::request&& r, Then then) {
    call(std::move(r), std::move(then), [this](kj::Exception& e) { answered_with_error(e); });
  }

  /// Calls `fn` in `delay` nanoseconds, if the connection still stands.
  template <class F>
  void after(nanos delay, F fn) {
    if (standing()) {
      tasks_->add(driver_->timer().afterDelay(delay * kj::NANOSECONDS).then(std::move(fn)));
    }
  }

  /// The peer did what it must not.
  void abort(std::string why) {
    if (peer_) peer_->abort(std::move(why));
  }

  void add(std::shared_ptr<link_base> link) {
    std::lock_guard hold(lock_);
    links_.push_back(std::move(link));
  }
  void remove(link_base* link) {
    std::shared_ptr<link_base> gone;
    std::lock_guard hold(lock_);
    for (auto& l : links_) {
      if (l.get() != link) continue;
      gone = std::move(l);
      l = std::move(links_.back());
      links_.pop_back();
      break;
    }
  }

  /// From the peer's `down`, in a job.
  void went_down(const std::string& why) {
    if (std::exchange(down_, true)) return;
    std::vector<std::shared_ptr<link_base>> links;
    {
      std::lock_guard hold(lock_);
      links.swap(links_);
    }
    for (auto& link : links) link->connection_down(why);
    barriers_.clear();
    remote_ = nullptr;
    tasks_ = nullptr;
    if (peer_) {
      counters_->bytes_in += peer_->stream().bytes_in();
      counters_->bytes_out += peer_->stream().bytes_out();
    }
    peer_.reset();
    driver_->made_ready();
    auto fn = std::move(ended_);
    if (fn) fn(why, left_);
  }

  /// Whether all that was sent through this session has been handed to the connection.
  bool outboxes_empty() {
    std::lock_guard hold(lock_);
    return std::all_of(links_.begin(), links_.end(), [](const std::shared_ptr<link_base>& l) {
      return l->pushed_so_far() >= l->sent_so_far();
    });
  }
  /// Calls `fn` when what was sent until now has been handed to the connection.
  void behind_outboxes(std::function<void()> fn) {
    barrier b;
    {
      std::lock_guard hold(lock_);
      for (auto& l : links_) {
        if (l->pushed_so_far() < l->sent_so_far()) b.behind.push_back({l, l->sent_so_far()});
      }
    }
    b.fn = std::move(fn);
    barriers_.push_back(std::move(b));
    outbox_moved();
  }
  /// An outbox has handed over more, or ended.
  void outbox_moved() {
    if (barriers_.empty()) return;
    std::vector<std::function<void()>> due;
    std::erase_if(barriers_, [&](barrier& b) {
      std::erase_if(b.behind, [](auto& l) { return l.first->pushed_so_far() >= l.second; });
      if (!b.behind.empty()) return false;
      due.push_back(std::move(b.fn));
      return true;
    });
    for (auto& fn : due) fn();
  }

  /// The peer said goodbye: the end that follows is in order.
  void peer_leaves() noexcept { left_ = true; }

  // -- any thread ---------------------------------------------------------------------------------

  std::vector<std::shared_ptr<link_base>> links() {
    std::lock_guard hold(lock_);
    return links_;
  }

 private:
  struct failures final : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}
  };

  struct barrier {
    std::vector<std::pair<std::shared_ptr<link_base>, std::uint64_t>> behind;
    std::function<void()> fn;
  };

  void answered_with_error(kj::Exception& e) {
    if (e.getType() == kj::Exception::Type::DISCONNECTED) return;  // `down` follows
    abort(std::string("the peer refused a call: ") + e.getDescription().cStr());
  }

  const std::shared_ptr<driver> driver_;
  scheduler& sched_;
  const std::shared_ptr<node_counters> counters_;
  const link_limits limits_;
  const std::string address_;
  std::unique_ptr<peer> peer_;
  kj::Maybe<protocol::client> remote_;
  failures failures_;
  kj::Own<kj::TaskSet> tasks_;
  ended ended_;
  bool down_ = false;
  bool left_ = false;
  std::vector<barrier> barriers_;
  std::mutex lock_;
  std::vector<std::shared_ptr<link_base>> links_;
};

/// The context of a link's goroutines: cancelled as one.
class link_context {
 public:
  explicit link_context(scheduler& s)
      : state_(new context_state(s.service_context, &s)), sched_(s) {}
  link_context(const link_context&) = delete;
  ~link_context() { context_state::release(state_); }

  void cancel() noexcept { state_->cancel(nullptr); }

  /// Starts a service goroutine; nobody joins it. Its callable must not throw.
  template <class F, class... Args>
  void launch(std::uint8_t flags, F f, Args&&... args) {
    auto* const g = spawner::launch(
        sched_, state_, nullptr, static_cast<std::uint8_t>(goroutine::daemon | flags),
        std::source_location::current(), f, std::forward<Args>(args)...);
    join_handle<void> drop(g);
  }

 private:
  context_state* state_;
  scheduler& sched_;
};

/// Fills an End struct with why a channel ended: in order, or with an error.
inline void write_end(protocol::any::Builder p, protocol::end::kind kind,
                      std::string_view text = {}) {
  protocol::writer w(p, protocol::end::size);
  w.set(protocol::end::tag, kind);
  if (!text.empty()) w.text(protocol::end::content, text);
}

/// Why a peer says a channel ended, as receivers and senders here will see it; null: in order.
inline std::exception_ptr read_end(protocol::any::Reader p, const std::string& address) {
  protocol::reader end(p);
  switch (end.get(protocol::end::tag)) {
    case protocol::end::closed:
    case protocol::end::no_receiver:
    case protocol::end::drained: return nullptr;
    case protocol::end::failed:
      return std::make_exception_ptr(failed(end.text(protocol::end::content)));
    default: {
      std::string text = end.get(protocol::end::tag) == protocol::end::lost
                             ? end.text(protocol::end::content)
                             : std::string("ended for a reason unknown here");
      return std::make_exception_ptr(lost("strait: " + address + ": " + text));
    }
  }
}

}  // namespace strait::inline STRAIT_ABI::detail
