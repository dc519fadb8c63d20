// The transport's drive: a KJ event loop that moves between workers.
//
// There is no transport thread and no "driver role": whoever is idle, or sends, drives.
//
// Invariants
// - KJ objects (clients, promises, requests, timers: their refcounts are not atomic) are touched
//   only inside `drive`, that is under the transport lock and with the loop's WaitScope entered.
//   `require_drive` asserts it. A goroutine's frame therefore never owns one.
// - No user code under the lock. A callback that must make a goroutine ready leaves a `ready_call`,
//   which is made after the unlock.
// - The lock is only ever tried. It has three states: free, held, and held "go round again". Who
//   fails to get it leaves the mark and goes; the owner sees it when it tries to unlock. Nobody
//   waits, and nothing stored before a try is missed.
// - Work from elsewhere (posted jobs, socket events) sets `dirty_` first. Whoever goes idle drives
//   if it is set, after having announced itself as a sleeper (seq_cst on both sides).
// - Jobs run between runs of the loop, never inside a KJ callback: there, and only there, may a
//   promise chain or a connection be destroyed by what it reports.
//
// Memory order: the lock word's acquire on entry and release on exit order everything under it;
// going round again is an acq_rel exchange, for what the marker stored. The job stack is pushed
// with release and taken whole with acquire.
//
// Rejected: a transport thread (two hand-offs: 38.6 us a round trip for 28.4); waking a parked
// worker before resuming a goroutine (7.6 us and buys nothing, as every idle worker sleeps in the
// same epoll set); a mutex (an owner may be in a long drive, and a worker must never wait for it).
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <kj/async.h>
#include <kj/timer.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <strait/detail/poller.hpp>
#include <strait/remote/detail/event_port.hpp>
#include <strait/remote/detail/reactor.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Called after the transport lock was released; the caller keeps `arg` alive until then.
struct ready_call {
  void (*fn)(void*) noexcept;
  void* arg;
};

/// Work to be done in a drive. Intrusive: whoever posts it owns it until it has run.
struct posted_job {
  void (*run)(posted_job&) = nullptr;
  posted_job* next = nullptr;
};

/// Something with output that waits for the end of a drive.
struct flushable {
  /// Writes what is pending if that is urgent, or if `idle`; false: something lazy was left.
  virtual bool flush(bool idle) = 0;
  bool queued_for_flush = false;

 protected:
  ~flushable() = default;
};

/// Something that has more input than one pass may take.
struct pollable {
  virtual void poll_again() = 0;
  bool queued_for_poll = false;

 protected:
  ~pollable() = default;
};

struct driver_options {
  nanos (*now)() = +[]() -> nanos {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  };
  bool reserve = false;  ///< A thread that drives when all workers compute.
  nanos reserve_grace = 1'000'000;
};

class driver final : public poller {
 public:
  explicit driver(driver_options options = {})
      : options_(options), loop_(port_), timer_(kj::origin<kj::TimePoint>()) {
    if (options_.reserve) {
      io_.open_second();
      reserve_ = std::thread([this] { reserve_loop(); });
    }
  }

  /// Every connection must be gone, and no thread may drive any more.
  ~driver() noexcept override { halt(); }

  /// Ends the reserve thread and drives once more, for closing jobs own KJ objects. Before the last
  /// reference may go: a job that the reserve thread runs may hold it, and no thread joins itself.
  void halt() noexcept {
    if (reserve_.joinable()) {
      io_.stop_second();
      reserve_.join();
    }
    drive(true);
  }

  // -- the parking seam ---------------------------------------------------------------------------

  /// Drives if there is anything to do. The sockets are asked when nothing is pending, and now and
  /// then when there is: output alone must not hide input.
  bool poll() override {
    if (!pending() || polls_.fetch_add(1, std::memory_order_relaxed) % 8 == 7) io_.poll();
    if (timer_due()) mark();
    return pending() && drive(false);
  }

  /// What it finds is left to the caller's next `poll`: this thread counts as a sleeper here, and
  /// making a goroutine ready would wake another for it, or itself.
  void wait(nanos deadline) override {
    if ((pending() || tails_.load(std::memory_order_acquire)) && drive(true)) return;
    io_.enter_sleep();
    if (!pending() || lock_.load(std::memory_order_seq_cst) != free_state) {
      nanos until = std::min(deadline, next_timer_.load(std::memory_order_seq_cst));
      io_.wait(until == never ? never : std::max<nanos>(0, until - options_.now()));
    }
    io_.leave_sleep();
  }

  void wake() override { io_.wake(); }

  /// Also while a job is posted or somebody drives: that may be a listener on its way.
  bool live() const override {
    return pending() || lock_.load(std::memory_order_seq_cst) != free_state ||
           live_.load(std::memory_order_seq_cst) > 0;
  }

  // -- any thread ---------------------------------------------------------------------------------

  /// Runs `job` in the next drive, in the order of the posts of one thread. Drives nothing itself:
  /// a worker does so when it suspends; another thread calls `drive` next.
  void post(posted_job& job) noexcept {
    posted_job* head = jobs_.load(std::memory_order_relaxed);
    do {
      job.next = head;
    } while (!jobs_.compare_exchange_weak(head, &job, std::memory_order_release,
                                          std::memory_order_relaxed));
    mark();
  }

  template <class F>
  void post(F f) {
    struct closure final : posted_job {
      explicit closure(F&& g) : fn(std::move(g)) {}
      F fn;
    };
    auto* job = new closure(std::move(f));
    job->run = [](posted_job& self) {
      std::unique_ptr<closure> own(static_cast<closure*>(&self));
      own->fn();
    };
    post(static_cast<posted_job&>(*job));
  }

  /// Drives once, unless another thread does: that one then goes round again. `idle`: the caller
  /// has nothing else to do, so lazy output goes too, if nothing became ready. Returns whether
  /// this call made anything ready.
  bool drive(bool idle) noexcept {
    int seen = free_state;
    while (!lock_.compare_exchange_weak(seen, held, std::memory_order_seq_cst)) {
      if (seen == again) return false;
      if (seen == held && lock_.compare_exchange_weak(seen, again, std::memory_order_seq_cst)) {
        return false;
      }
      seen = free_state;
    }
    if (driving() != nullptr) fatal("a drive inside a drive");
    driving() = this;
    ready_list calls(spare());
    bool any = false;
    for (;;) {
      turn(idle);
      int expected = held;
      calls.take(ready_);
      any |= std::exchange(made_ready_, false);
      driving() = nullptr;
      if (lock_.compare_exchange_strong(expected, free_state, std::memory_order_seq_cst)) break;
      lock_.exchange(held, std::memory_order_acq_rel);
      driving() = this;
    }
    any |= !calls.list.empty();
    for (auto& call : calls.list) call.fn(call.arg);
    return any;
  }

  nanos now() const { return options_.now(); }

  // -- in a drive only ----------------------------------------------------------------------------

  bool in_drive() const noexcept { return driving() == this; }
  void require_drive() const noexcept {
    if (!in_drive()) fatal("a transport object touched outside the drive");
  }

  reactor& io() noexcept { return io_; }
  /// Runs the loop until it has nothing to do; in a job only.
  void run_loop() { loop_.run(); }
  kj::Timer& timer() noexcept { return timer_; }
  /// The clock as read at the start of this turn.
  nanos turn_time() const noexcept { return turn_time_; }

  /// Calls `fn(arg)` after the unlock.
  void ready(void (*fn)(void*) noexcept, void* arg) { ready_.push_back({fn, arg}); }
  /// A goroutine was made ready (which is allowed under the lock: it only goes into a queue).
  void made_ready() noexcept { made_ready_ = true; }

  void want_flush(flushable& f) {
    if (std::exchange(f.queued_for_flush, true)) return;
    flush_.push_back(&f);
  }
  void want_poll(pollable& p) {
    if (std::exchange(p.queued_for_poll, true)) return;
    poll_.push_back(&p);
  }
  void forget(flushable& gone) noexcept {
    if (gone.queued_for_flush) std::erase(flush_, &gone);
  }
  void forget(pollable& gone) noexcept {
    if (gone.queued_for_poll) std::erase(poll_, &gone);
  }

  /// Counts a thing outside the process that may make a goroutine ready: see `live`.
  void add_live(int by) noexcept { live_.fetch_add(by, std::memory_order_acq_rel); }

  /// Drives so far: for tests and metrics.
  std::uint64_t turns() const noexcept { return turns_.load(std::memory_order_relaxed); }

 private:
  enum : int { free_state = 0, held = 1, again = 2 };

  struct ready_list {
    explicit ready_list(std::vector<ready_call>& from) : list(std::move(from)), home(from) {
      list.clear();
    }
    ~ready_list() {
      list.clear();
      home = std::move(list);
    }
    void take(std::vector<ready_call>& from) {
      if (list.empty()) {
        list.swap(from);
      } else {
        list.insert(list.end(), from.begin(), from.end());
        from.clear();
      }
    }
    std::vector<ready_call> list;
    std::vector<ready_call>& home;
  };

  STRAIT_NOINLINE static driver*& driving() noexcept {
    thread_local driver* current = nullptr;
    return current;
  }
  STRAIT_NOINLINE static std::vector<ready_call>& spare() noexcept {
    thread_local std::vector<ready_call> list;
    return list;
  }

  [[noreturn]] static void fatal(const char* what) noexcept {
    std::fprintf(stderr, "strait: %s\n", what);
    std::abort();
  }

  bool pending() const noexcept {
    return dirty_.load(std::memory_order_seq_cst) || io_.signalled();
  }
  void mark() noexcept { dirty_.store(true, std::memory_order_seq_cst); }
  bool timer_due() const {
    nanos next = next_timer_.load(std::memory_order_acquire);
    return next != never && options_.now() >= next;
  }

  void turn(bool idle) noexcept {
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    dirty_.store(false, std::memory_order_seq_cst);
    kj::WaitScope scope(loop_);
    turn_time_ = options_.now();
    nanos published = next_timer_.load(std::memory_order_relaxed);
    if (published <= turn_time_) {
      // A passed deadline would make the other sleepers spin until this drive ends.
      published = never;
      next_timer_.store(never, std::memory_order_seq_cst);
    }
    timer_.advanceTo(kj::origin<kj::TimePoint>() + turn_time_ * kj::NANOSECONDS);
    bool more = true;
    for (int pass = 0; more; ++pass) {
      if (pass == max_passes) {  // a peer that floods: let goroutines have their turn
        mark();
        break;
      }
      run_jobs();
      more = take_events();
      loop_.run();
      if (!more) more = !poll_.empty() || jobs_.load(std::memory_order_relaxed) != nullptr;
    }
    bool lazy = !flush_all(idle && ready_.empty() && !made_ready_);
    loop_.run();
    tails_.store(lazy, std::memory_order_release);
    if (jobs_.load(std::memory_order_relaxed) != nullptr || port_.runnable()) {
      mark();
    }
    publish_timer(published);
  }

  void run_jobs() {
    while (posted_job* newest = jobs_.exchange(nullptr, std::memory_order_acquire)) {
      posted_job* first = nullptr;
      while (newest) {
        posted_job* next = std::exchange(newest->next, first);
        first = std::exchange(newest, next);
      }
      while (first) {
        posted_job& job = *first;
        first = job.next;
        job.run(job);
      }
    }
  }

  bool take_events() {
    bool any = !poll_.empty();
    again_.swap(poll_);
    for (pollable*& p : again_) p->queued_for_poll = false;
    for (pollable* p : again_) p->poll_again();
    again_.clear();
    io_slot* newest = io_.take_signalled();
    io_slot* first = nullptr;
    while (newest) {
      io_slot* next = std::exchange(newest->next, first);
      first = std::exchange(newest, next);
    }
    while (first) {
      io_slot& slot = *first;
      first = slot.next;  // before the bits are cleared: then it may be pushed again
      std::uint32_t bits = slot.bits.exchange(0, std::memory_order_acq_rel);
      if (slot.handler) slot.handler->on_io(bits);
      any = true;
    }
    return any;
  }

  bool flush_all(bool idle) {
    bool done = true;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < flush_.size(); ++i) {
      flushable* f = flush_[i];
      if (f->flush(idle)) {
        f->queued_for_flush = false;
      } else {
        flush_[kept++] = f;
        done = false;
      }
    }
    flush_.resize(kept);
    return done;
  }

  void publish_timer(nanos before) {
    nanos next = never;
    auto event = timer_.nextEvent();
    if (auto* at = as_pointer(event)) next = (*at - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS;
    next_timer_.store(next, std::memory_order_seq_cst);
    // Who sleeps took the old deadline, and this thread may not sleep itself for long. (Seq_cst:
    // who is not seen as a sleeper here reads the new deadline.)
    if (next < before && io_.sleepers() > 0) io_.wake();
  }

  void reserve_loop() noexcept {
    while (io_.wait_second(20'000'000)) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(options_.reserve_grace));
      if (io_.sleepers() > 0) continue;
      io_.poll();
      if (pending() || tails_.load(std::memory_order_acquire) || timer_due()) drive(true);
    }
  }

  static constexpr int max_passes = 8;

  driver_options options_;
  reactor io_;
  event_port port_;
  kj::EventLoop loop_;
  kj::TimerImpl timer_;
  nanos turn_time_ = 0;
  std::vector<ready_call> ready_;
  bool made_ready_ = false;
  std::vector<flushable*> flush_;
  std::vector<pollable*> poll_, again_;
  std::thread reserve_;

  std::atomic<int> lock_{free_state};
  std::atomic<bool> dirty_{false};
  std::atomic<bool> tails_{false};  ///< Lazy output is pending: flushed by who goes idle.
  std::atomic<posted_job*> jobs_{nullptr};
  std::atomic<nanos> next_timer_{never};
  std::atomic<int> live_{0};
  std::atomic<unsigned> polls_{0};
  std::atomic<std::uint64_t> turns_{0};
};

}  // namespace strait::inline STRAIT_ABI::detail
