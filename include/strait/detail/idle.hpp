// The scheduler's other half: a worker without work. Searching, stealing, sleeping, the monitor.
//
// The invariants are scheduler.hpp's, which includes this.
#pragma once

#include <strait/detail/scheduler.hpp>

namespace strait::inline STRAIT_ABI::detail {

inline goroutine* scheduler::find_work(worker& w) {
  if (take_lazy(w)) return take(w);
  const bool fired = fire_timers();
  const bool polled = parking()->poll();
  if (fired || polled) {
    if (goroutine* const g = take(w)) return g;
  }
  if (goroutine* const g = take_global(w)) return g;
  if (solo_) return nullptr;
  // At most half of the workers search at a time.
  if (2 * searching_.load(std::memory_order_relaxed) >= worker_count()) return nullptr;
  searching_.fetch_add(1, std::memory_order_seq_cst);
  goroutine* const g = steal(w);
  const bool last = searching_.fetch_sub(1, std::memory_order_seq_cst) == 1;
  if (g != nullptr && last && work_visible()) notify();
  return g;
}

inline goroutine* scheduler::steal(worker& w) {
  const std::uint32_t n = worker_count();
  for (int round = 0; round < 4; ++round) {
    const std::uint32_t start = w.random.below(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      worker& victim = *workers_[(start + i) % n];
      if (&victim == &w) continue;
      if (goroutine* const g = victim.ring.steal_half(w.ring)) return g;
    }
    if (goroutine* const g = take_global(w)) return g;
    for (int spin = 0; spin < 32; ++spin) cpu_relax();
  }
  // A `next` slot only when its worker did not come by for some microseconds.
  for (auto& victim : workers_) {
    goroutine* g = victim->next.load(std::memory_order_relaxed);
    if (victim.get() == &w || g == nullptr) continue;
    const std::uint32_t seen = victim->turns.load(std::memory_order_relaxed);
    const nanos until = steady_now() + 5'000;
    while (steady_now() < until) cpu_relax();
    if (victim->turns.load(std::memory_order_relaxed) == seen &&
        victim->next.compare_exchange_strong(g, nullptr, std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {
      return g;
    }
  }
  for (auto& victim : workers_) {
    if (victim.get() == &w || victim->lazy.load(std::memory_order_relaxed) == nullptr) continue;
    const std::uint32_t seen = victim->turns.load(std::memory_order_relaxed);
    const nanos until = steady_now() + 5'000;
    while (steady_now() < until) cpu_relax();
    if (victim->turns.load(std::memory_order_relaxed) == seen && take_lazy(*victim)) {
      return take(w);
    }
  }
  return nullptr;
}

inline bool scheduler::work_visible() const noexcept {
  if (global_size_.load(std::memory_order_seq_cst) != 0) return true;
  for (auto& w : workers_) {
    if (w->ring.size() != 0) return true;
  }
  return false;
}

/// Whether live goroutines all wait, and nothing is there to end a wait. The counts are read one
/// after another: they say so together only if no worker was awake meanwhile.
inline bool scheduler::hopeless() const noexcept {
  const std::uint64_t before = awakenings_.load(std::memory_order_seq_cst);
  return idle_.load(std::memory_order_seq_cst) == worker_count() &&
         outside_->count.load(std::memory_order_seq_cst) == 0 && next_deadline() == never &&
         !work_visible() && !waking_.load(std::memory_order_seq_cst) && !parking()->live() &&
         live() > 0 && awakenings_.load(std::memory_order_seq_cst) == before;
}

template <class Done>
void scheduler::sleep(worker& w, Done&& done) {
  if (w.id == 0) {
    main_wanted_.store(false, std::memory_order_seq_cst);  // and `done` is asked afterwards
  } else if (main_wanted_.load(std::memory_order_seq_cst)) {
    return std::this_thread::yield();
  }
  this_cache()->collect();
  // Also orders `ended` before `draining` here, and the other way round in worker 0: one of the two
  // exchanges on `idle_` sees the other, so either it sees the last end or is told of it here.
  idle_.fetch_add(1, std::memory_order_seq_cst);
  if (w.id != 0 && draining.load(std::memory_order_seq_cst) && live() == 0 &&
      !quiet_told_.exchange(true)) {
    on_quiet();
  }
  if (!work_visible() && !done() && w.lazy.load(std::memory_order_relaxed) == nullptr) {
    if (hopeless()) {
      // Two workers may have come here at once: the second finds the first awake.
      std::lock_guard hold(deadlock_lock_);
      if (hopeless()) {
        wakes_up();
        on_deadlock(*this);
        return;
      }
    }
    parking()->wait(next_deadline());
    waking_.store(false, std::memory_order_seq_cst);
    if (w.id != 0 && main_wanted_.load(std::memory_order_seq_cst)) parking()->wake();  // not mine
  }
  wakes_up();
  if (monitor_deep_.load(std::memory_order_relaxed)) wake_monitor();
}

/// Frees goroutines that are stuck in the `next` slot (or behind the timers) of a worker that
/// computes, by waking an idle one to steal them. Sleeps for good while all workers are idle.
inline void scheduler::monitor_main() {
  std::vector<std::uint32_t> seen(workers_.size(), 0);
  std::unique_lock hold(monitor_lock_);
  while (!stopping_.load(std::memory_order_acquire)) {
    if (idle_.load(std::memory_order_seq_cst) == worker_count()) {
      monitor_deep_.store(true, std::memory_order_seq_cst);
      monitor_wakeup_.wait(hold, [this] {
        return !monitor_deep_.load(std::memory_order_relaxed) ||
               stopping_.load(std::memory_order_acquire);
      });
      monitor_deep_.store(false, std::memory_order_relaxed);
      continue;
    }
    monitor_wakeup_.wait_for(hold, std::chrono::milliseconds(2));
    bool stuck = next_deadline() <= steady_now();
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      worker& w = *workers_[i];
      const std::uint32_t turns = w.turns.load(std::memory_order_relaxed);
      stuck |= turns == seen[i] &&
               (w.next.load(std::memory_order_relaxed) != nullptr ||
                w.lazy.load(std::memory_order_relaxed) != nullptr || w.ring.size() != 0);
      seen[i] = turns;
    }
    if (stuck) notify();
  }
}

inline void scheduler::wake_monitor() {
  {
    std::lock_guard hold(monitor_lock_);
    monitor_deep_.store(false, std::memory_order_relaxed);
  }
  monitor_wakeup_.notify_one();
}

}  // namespace strait::inline STRAIT_ABI::detail
