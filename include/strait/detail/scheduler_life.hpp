// The scheduler's beginning and end: its threads, and one step of a simulated one.
//
// The invariants are scheduler.hpp's, which includes this.
#pragma once

#include <strait/detail/scheduler.hpp>

namespace strait::inline STRAIT_ABI::detail {

STRAIT_SHARED inline std::uint32_t next_scheduler_number() noexcept {
  static atomic<std::uint32_t> last{0};
  return (last.fetch_add(1, std::memory_order_relaxed) + 1) & 0xffffff;
}

inline scheduler::scheduler(std::uint32_t workers, std::shared_ptr<poller> parking, simulation* sim)
    : number_(next_scheduler_number()), sim_(sim), solo_(workers == 1), parking_(parking.get()) {
  pollers_.push_back(std::move(parking));
  outside_->sched = this;
  for (std::uint32_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<worker>(
        *this, i,
        sim != nullptr ? sim->random.next()
                       : static_cast<std::uint64_t>(steady_now()) + 0x9e37 * i));
  }
  for (std::uint32_t i = 1; i < workers; ++i) {
    threads_.emplace_back([this, i] { worker_main(*workers_[i]); });
  }
  if (workers > 1) monitor_ = std::thread([this] { monitor_main(); });
}

inline scheduler::~scheduler() {
  stop_workers();
  locals.clear();  // the transport's driver ends: its jobs may still want a scheduler
  {
    std::lock_guard hold(outside_->lock);
    outside_->sched = nullptr;
  }
  // Whoever made the last goroutines ready from outside may still be on the way out of it.
  blocking_pool.reset();
  while (injecting_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
}

inline void scheduler::stop_workers() {
  if (stopping_.exchange(true)) return;
  for (std::uint32_t i = 0; i < worker_count(); ++i) parking()->wake();
  for (auto& t : threads_) t.join();
  if (monitor_.joinable()) {
    wake_monitor();
    monitor_.join();
  }
  solo_ = true;
}

inline void scheduler::worker_main(worker& w) {
  this_thread().w = &w;
  const auto done = [this] { return stopping_.load(std::memory_order_acquire); };
  while (!done()) run_one(w, done);
  this_thread().w = nullptr;
}

inline bool scheduler::run_one_simulated() {
  worker& w = *workers_[0];
  simulation& sim = *sim_;
  for (;;) {
    ready_list woken;
    w.timers.fire(sim.now, woken);
    ready_all(woken);
    if (!sim.ready.empty()) break;
    const nanos next = w.timers.first();
    if (next == never) return false;
    sim.now = next;
  }
  const auto pick = sim.random.below(static_cast<std::uint32_t>(sim.ready.size()));
  goroutine* const g = sim.ready[pick];
  sim.ready.erase(sim.ready.begin() + pick);
  sim.record(pick);
  sim.record(static_cast<std::uint64_t>(sim.now));
  ++sim.steps;
  execute(w, g);
  return true;
}

}  // namespace strait::inline STRAIT_ABI::detail
