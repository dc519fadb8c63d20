// The scheduler: M workers, their queues, and how they find work, sleep and are woken.
//
// Go's and tokio's shape. A goroutine made ready goes to its waker's `next` slot if that is empty,
// else to the tail of the waker's ring; a chain of hand-offs so stays on one worker and wakes
// nobody. Idle workers steal half a ring, and an occupied `next` slot only if it stays so for some
// microseconds. All idle workers sleep in one poller (poller.hpp).
//
// Invariants
// - `next` is filled by its worker only, with a plain store into an empty slot; anyone may empty it
//   by compare-exchange.
// - Nobody sleeps on work: a pusher publishes (seq_cst store) and then reads `idle_` (seq_cst); a
//   worker going to sleep raises `idle_` (seq_cst) and then looks at all queues again. One of them
//   sees the other. At most one wake-up is under way at a time (`waking_`), and a searcher that
//   finds work passes the wake on if more is left.
// - What was put into a `next` slot wakes nobody; the monitor thread frees a goroutine that is
//   stuck behind a long computation there within a few ticks.
// - `resume_at` of a goroutine that is in a queue is valid and nobody else touches the goroutine.
//
// A scheduler under simulation (sim.hpp) has one worker, a virtual clock and a ready set from which
// a seed picks; the code of goroutines, channels and timers is the same.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <strait/detail/worker.hpp>

namespace strait::inline STRAIT_ABI::detail {

class scheduler {
 public:
  explicit scheduler(std::uint32_t workers, std::shared_ptr<poller> parking,
                     simulation* sim = nullptr);
  ~scheduler();
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;

  static constexpr std::uint16_t operation_budget = 128;
  static constexpr std::uint8_t most_hops = 48;
  static constexpr std::uint32_t fairness_turns = 61;
  static constexpr std::uint32_t most_streak = 3;

  std::uint32_t number() const noexcept { return number_; }
  std::uint32_t worker_count() const noexcept {
    return static_cast<std::uint32_t>(workers_.size());
  }
  simulation* sim() const noexcept { return sim_; }
  nanos now() const noexcept { return sim_ != nullptr ? sim_->now : steady_now(); }

  /// Puts a goroutine that was claimed, or is new, where a worker will find it. Any thread.
  static void ready(goroutine* g) { ready_from(this_thread().w, g); }
  /// The same, by a thread that knows its worker (null: none).
  static void ready_from(worker* w, goroutine* g) {
    scheduler* const s = g->sched;
    if (w != nullptr && &w->sched == s && (g->flags & (goroutine::thread | goroutine::lazy)) == 0 &&
        s->sim_ == nullptr) [[likely]] {
      s->push(*w, g);
    } else {
      ready_otherwise(w, g);
    }
  }
  static void ready_all(ready_list& list) {
    if (!list.empty()) ready_all_from(this_thread().w, list);
  }
  static void ready_all_from(worker* w, ready_list& list) {
    while (goroutine* const g = list.pop()) ready_from(w, g);
  }

  /// Puts the running goroutine behind all others of its worker. Wakes nobody: it stays here.
  void yield_current(goroutine* g) {
    if (sim_ != nullptr) {
      sim_->ready.push_back(g);
      return;
    }
    worker& w = *g->on;
    w.parked = false;
    if (w.next.load(std::memory_order_relaxed) == nullptr && w.ring.size() == 0) {
      w.next.store(g, std::memory_order_release);
    } else if (!w.ring.push(g, solo_)) {
      inject(g);
    }
  }

  void count_spawn(const goroutine* g) noexcept {
    if (g->has(goroutine::daemon)) {
      services_live_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    if (worker* const w = this_thread().w; w != nullptr && &w->sched == this) {
      w->spawned.store(w->spawned.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    } else {
      spawned_outside_.fetch_add(1, std::memory_order_seq_cst);
    }
  }

  /// Live goroutines (services not counted); exact when nothing runs.
  std::int64_t live() const noexcept {
    std::uint64_t ended = 0, spawned = 0;
    for (auto& w : workers_) ended += w->ended.load(std::memory_order_seq_cst);
    for (auto& w : workers_) spawned += w->spawned.load(std::memory_order_seq_cst);
    spawned += spawned_outside_.load(std::memory_order_seq_cst);
    return static_cast<std::int64_t>(spawned - ended);
  }

  std::uint32_t live_services() const noexcept {
    return services_live_.load(std::memory_order_seq_cst);
  }

  /// Runs goroutines on the calling thread, as worker 0, until `done()`; the other workers run
  /// from construction. `done` is asked between goroutines; call `nudge` when it becomes true.
  template <class Done>
  void run_until(Done&& done) {
    worker& w = *workers_[0];
    worker* const before = std::exchange(this_thread().w, &w);
    while (!done()) run_one(w, done);
    this_thread().w = before;
  }
  /// The same, but ends at `until` at the latest.
  template <class Done>
  void run_until_or(nanos until, Done&& done) {
    timer_node alarm;
    alarm.when = until;
    alarm.retain = [](timer_node*) noexcept { return false; };
    timer_heap& timers = workers_[0]->timers;
    timers.lock.lock();
    timers.add_locked(&alarm);
    timers.lock.unlock();
    run_until([&] { return done() || now() >= until; });
    timers.lock.lock();
    timers.remove_locked(&alarm);
    timers.lock.unlock();
  }
  /// Makes worker 0 look again whether it is done. The others keep out of the poller until it has
  /// woken: wake-ups have no address, and they might take its own.
  void nudge() {
    main_wanted_.store(true, std::memory_order_seq_cst);
    parking()->wake();
  }

  /// Ends the other workers; afterwards nothing runs but by `run_until`.
  void stop_workers();

  poller* parking() const noexcept { return parking_.load(std::memory_order_acquire); }
  /// Plugs in another poller; sleeping workers move over. The old one is kept until the end.
  void replace_poller(std::shared_ptr<poller> p) {
    std::lock_guard hold(global_lock_);
    poller* const old = parking();
    pollers_.push_back(p);
    parking_.store(p.get(), std::memory_order_release);
    for (std::uint32_t i = 0; i < worker_count(); ++i) old->wake();
  }

  /// Things outside that will make a goroutine ready: blocking calls, foreign awaitables.
  void outside_begins() noexcept { outside_->count.fetch_add(1, std::memory_order_seq_cst); }
  void outside_ends() noexcept { outside_->count.fetch_sub(1, std::memory_order_seq_cst); }
  /// The count of them, for threads that may outlive the scheduler.
  struct outside_state {
    atomic<std::uint32_t> count{0};
    std::mutex lock;
    scheduler* sched = nullptr;  // under `lock`; null once it is gone
  };
  const std::shared_ptr<outside_state>& outside() const noexcept { return outside_; }

  /// Services, under the scheduler's care until the end of `run`.
  std::vector<std::shared_ptr<service>> services;
  std::mutex services_lock;
  /// Per-runtime singletons of higher layers (the default node), by the address of a tag.
  std::vector<std::pair<const void*, std::shared_ptr<void>>> locals;

  /// The blocking pool's way to run things (blocking.hpp).
  std::shared_ptr<void> blocking_pool;
  std::mutex blocking_lock;

  void* owner = nullptr;            // the run that this scheduler belongs to
  atomic<bool> first_ended{false};  // the run's own goroutine has: worker 0 is told
  context_state* root_context = nullptr;
  context_state* service_context = nullptr;
  void (*on_deadlock)(scheduler&) = nullptr;  // all wait, and nothing can end it
  void (*on_ended)(scheduler&, goroutine*) = nullptr;
  std::function<void()> on_quiet;  // no live goroutine is left, while draining
  atomic<bool> draining{false};

  /// Called by the worker loop; public for tests that step by hand.
  bool run_one_simulated();

 private:
  friend struct scheduler_probe;

  STRAIT_NOINLINE static void ready_otherwise(worker* w, goroutine* g) {
    if (g->has(goroutine::thread)) return static_cast<thread_goroutine*>(g)->wake();
    scheduler& s = *g->sched;
    if (s.sim_ != nullptr) {
      s.sim_->ready.push_back(g);
    } else if (w == nullptr || &w->sched != &s) {
      s.inject(g);
    } else {
      s.push_lazy(*w, g);
    }
  }

  template <class Done>
  void run_one(worker& w, Done&& done) {
    if (sim_ != nullptr) {
      if (!run_one_simulated() && !done()) on_deadlock(*this);
      return;
    }
    if (goroutine* const g = take(w)) return execute(w, g);
    if (goroutine* const g = find_work(w)) return execute(w, g);
    if (!done()) sleep(w, done);
  }

  void execute(worker& w, goroutine* g) {
    w.current = g;
    g->on = &w;
    g->budget = sim_ == nullptr
                    ? operation_budget
                    : static_cast<std::uint16_t>(1 + sim_->random.below(2 * sim_->preempt_one_in));
    w.parked = true;
    do {
      w.bounced = nullptr;
      g->hops = 0;
      g->resume_at.resume();  // g may belong to another worker now, unless it bounced or finished
    } while (w.bounced != nullptr);
    w.current = nullptr;
    if (w.finished != nullptr) [[unlikely]] {
      finish(w, std::exchange(w.finished, nullptr));
    }
    if (w.parked && w.lazy.load(std::memory_order_relaxed) != nullptr &&
        w.next.load(std::memory_order_relaxed) == nullptr && w.ring.size() == 0) {
      take_lazy(w);
    }
  }

  void finish(worker& w, goroutine* g) {
    const bool counted = !g->has(goroutine::daemon);
    const bool is_first = g->has(goroutine::first);
    on_ended(*this, g);
    if (is_first) {
      first_ended.store(true, std::memory_order_release);
      nudge();
    }
    if (!counted) {
      if (services_live_.fetch_sub(1, std::memory_order_seq_cst) == 1) nudge();
      return;
    }
    const std::uint64_t ended = w.ended.load(std::memory_order_relaxed) + 1;
    if (!draining.load(std::memory_order_relaxed)) {  // or not seen yet: `sleep` looks again
      w.ended.store(ended, std::memory_order_release);
      return;
    }
    w.ended.store(ended, std::memory_order_seq_cst);
    if (live() == 0) on_quiet();
  }

  goroutine* take_next(worker& w) noexcept {
    goroutine* g = w.next.load(std::memory_order_relaxed);
    if (g == nullptr) return nullptr;
    if (solo_) {
      w.next.store(nullptr, std::memory_order_relaxed);
      return g;
    }
    return w.next.compare_exchange_strong(g, nullptr, std::memory_order_acq_rel,
                                          std::memory_order_relaxed)
               ? g
               : nullptr;
  }

  goroutine* take(worker& w) {
    w.turns.store(++w.turn, std::memory_order_relaxed);
    if (w.turn % fairness_turns == 0 || w.turn % 8 == 0) [[unlikely]] {
      if (goroutine* const g = look_around(w)) return g;
    }
    if (w.streak < most_streak) {
      if (goroutine* const g = take_next(w)) {
        ++w.streak;
        return g;
      }
    }
    w.streak = 0;
    if (goroutine* const g = w.ring.pop(solo_)) return g;
    return take_next(w);
  }

  STRAIT_NOINLINE goroutine* look_around(worker& w) {
    if (w.turn % fairness_turns != 0) {
      if (w.timers.first() != never) fire_timers();
      return nullptr;
    }
    if (w.lazy.load(std::memory_order_relaxed) != nullptr) take_lazy(w);
    this_cache()->collect();
    parking()->poll();
    fire_timers();
    return take_global(w);
  }

  void push(worker& w, goroutine* g) {
    if (w.next.load(std::memory_order_relaxed) == nullptr) {
      w.next.store(g, std::memory_order_release);
      if (monitor_deep_.load(std::memory_order_relaxed)) [[unlikely]]
        wake_monitor();
    } else {
      push_ring(w, g);
    }
  }
  STRAIT_NOINLINE void push_ring(worker& w, goroutine* g) {
    if (!w.ring.push(g, solo_)) [[unlikely]] {
      return overflow(w, g);
    }
    if (!solo_) notify();
  }
  /// The older half of a full ring and `g` go to the global queue, under one lock for all.
  STRAIT_NOINLINE void overflow(worker& w, goroutine* g) {
    ready_list moved;
    std::size_t n = 1;
    for (; n <= run_queue::capacity / 2; ++n) {
      goroutine* const older = w.ring.pop(solo_);
      if (older == nullptr) break;
      moved.push(older);
    }
    moved.push(g);
    {
      std::lock_guard hold(global_lock_);
      global_.append(moved);
      global_size_.store(global_size_.load(std::memory_order_relaxed) + n,
                         std::memory_order_seq_cst);
    }
    notify();
  }
  void push_lazy(worker& w, goroutine* g) {
    goroutine* head = w.lazy.load(std::memory_order_relaxed);
    do {
      g->next = head;
    } while (!w.lazy.compare_exchange_weak(head, g, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
  }
  bool take_lazy(worker& w) {
    goroutine* g = w.lazy.exchange(nullptr, std::memory_order_acq_rel);
    if (g == nullptr) return false;
    goroutine* in_order = nullptr;
    while (g != nullptr) {
      goroutine* const rest = g->next;
      g->next = in_order;
      in_order = g;
      g = rest;
    }
    worker& mine = *this_thread().w;
    while (in_order != nullptr) {
      goroutine* const rest = in_order->next;
      push(mine, in_order);
      in_order = rest;
    }
    return true;
  }

  void inject(goroutine* g) {
    injecting_.fetch_add(1, std::memory_order_relaxed);
    {
      std::lock_guard hold(global_lock_);
      global_.push(g);
      global_size_.store(global_size_.load(std::memory_order_relaxed) + 1,
                         std::memory_order_seq_cst);
    }
    notify();
    injecting_.fetch_sub(1, std::memory_order_release);
  }
  goroutine* take_global(worker& w) {
    if (global_size_.load(std::memory_order_seq_cst) == 0) return nullptr;
    std::lock_guard hold(global_lock_);
    const std::size_t have = global_size_.load(std::memory_order_relaxed);
    std::size_t n = have / worker_count() + 1;
    if (n > run_queue::capacity / 2) n = run_queue::capacity / 2;
    goroutine* const first = global_.pop();
    std::size_t taken = first != nullptr ? 1 : 0;
    while (taken < n) {
      goroutine* const g = global_.pop();
      if (g == nullptr) break;
      ++taken;
      if (!w.ring.push(g, solo_)) {
        global_.push(g);
        --taken;
        break;
      }
    }
    global_size_.store(have - taken, std::memory_order_seq_cst);
    return first;
  }

  /// Wakes a sleeping worker if there is one and nobody is searching already.
  void notify() {
    if (idle_.load(std::memory_order_seq_cst) == 0) return;
    if (searching_.load(std::memory_order_seq_cst) != 0) return;
    if (waking_.load(std::memory_order_relaxed) || waking_.exchange(true)) return;
    parking()->wake();
  }

  bool fire_timers() {
    bool any = false;
    nanos at = 0;
    for (auto& other : workers_) {
      // Anyone's, in case its own worker computes; one's own first matters to nobody.
      if (other->timers.first() == never) continue;
      if (at == 0) at = now();
      ready_list woken;
      any |= other->timers.fire(at, woken);
      ready_all(woken);
    }
    return any;
  }

  goroutine* find_work(worker& w);
  goroutine* steal(worker& w);
  bool work_visible() const noexcept;
  nanos next_deadline() const noexcept {
    nanos first = never;
    for (auto& w : workers_) first = std::min(first, w->timers.first());
    return first;
  }
  template <class Done>
  void sleep(worker& w, Done&& done);
  void wakes_up() noexcept {
    awakenings_.fetch_add(1, std::memory_order_seq_cst);
    idle_.fetch_sub(1, std::memory_order_seq_cst);
  }
  bool hopeless() const noexcept;
  void worker_main(worker& w);
  void monitor_main();
  void wake_monitor();

  const std::uint32_t number_;
  simulation* const sim_;
  bool solo_;
  std::vector<std::unique_ptr<worker>> workers_;
  atomic<poller*> parking_;
  std::vector<std::shared_ptr<poller>> pollers_;

  alignas(64) atomic<std::uint32_t> idle_{0};
  atomic<std::uint64_t> awakenings_{0};
  atomic<std::uint32_t> searching_{0};
  atomic<bool> waking_{false};
  atomic<bool> stopping_{false};
  const std::shared_ptr<outside_state> outside_ = std::make_shared<outside_state>();
  atomic<std::uint32_t> injecting_{0};
  atomic<std::uint64_t> spawned_outside_{0};
  atomic<std::uint32_t> services_live_{0};
  atomic<bool> main_wanted_{false};
  atomic<bool> quiet_told_{false};

  alignas(64) std::mutex global_lock_;
  ready_list global_;
  atomic<std::size_t> global_size_{0};

  std::mutex deadlock_lock_;
  std::mutex monitor_lock_;
  std::condition_variable monitor_wakeup_;
  atomic<bool> monitor_deep_{false};
  std::vector<std::thread> threads_;
  std::thread monitor_;
};

}  // namespace strait::inline STRAIT_ABI::detail

#include <strait/detail/idle.hpp>
#include <strait/detail/scheduler_life.hpp>
