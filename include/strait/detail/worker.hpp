// What a worker is made of, and how a thread finds its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include <strait/detail/goroutine.hpp>
#include <strait/detail/poller.hpp>
#include <strait/detail/random.hpp>
#include <strait/detail/run_queue.hpp>
#include <strait/detail/timer_heap.hpp>

namespace strait::inline STRAIT_ABI::detail {

class scheduler;
struct worker;

/// Something that must be wound up before a runtime ends: the node of remote channels.
struct service {
  virtual ~service() = default;
  virtual bool drained() = 0;                ///< Nothing is left to flush.
  virtual std::string abandon() = 0;         ///< The time is over: names what is lost, a line each.
  virtual std::string lost() { return {}; }  ///< What was lost before the end, a line each.
  virtual void stop() = 0;  ///< Ends the service's own goroutines; called once, last.
};

/// A seeded choice of what runs next, and the clock that goes with it.
struct simulation {
  random_source random;
  nanos now = 0;
  std::uint64_t trace = 14695981039346656037u;  // FNV-1a over the choices made
  std::uint64_t steps = 0;
  std::uint32_t preempt_one_in = 4;  // a ready operation yields this often
  std::vector<goroutine*> ready;

  void record(std::uint64_t choice) noexcept { trace = (trace ^ choice) * 1099511628211u; }
};

struct worker {
  worker(scheduler& s, std::uint32_t number, std::uint64_t seed)
      : sched(s), id(number), random(seed) {}

  scheduler& sched;
  const std::uint32_t id;
  goroutine* current = nullptr;
  goroutine* finished = nullptr;  // its root coroutine reached the end
  goroutine* bounced = nullptr;   // transferred too often in a row: resume again from the loop
  bool parked = false;            // the last resume ended in a wait, not in a yield
  std::uint32_t turn = 0;
  std::uint32_t streak = 0;  // turns in a row that came from `next`
  random_source random;
  timer_heap timers;
  atomic<std::uint64_t> spawned{0}, ended{0};  // one writer each

  alignas(64) atomic<goroutine*> next{nullptr};
  atomic<goroutine*> lazy{nullptr};  // a stack: pushed by the worker, taken whole by any
  atomic<std::uint32_t> turns{0};    // `turn`, for the monitor and thieves
  run_queue ring;
};

struct thread_state {
  worker* w = nullptr;
};

/// The calling thread's worker, never to be cached across a suspension.
STRAIT_SHARED STRAIT_NOINLINE inline thread_state& this_thread() noexcept {
  static thread_local thread_state state;
  asm volatile("" ::: "memory");
  return state;
}

inline goroutine* current_goroutine() noexcept {
  worker* const w = this_thread().w;
  return w != nullptr ? w->current : nullptr;
}

/// Wakes a plain thread that waits in st::wait; see wait.hpp.
struct thread_goroutine : goroutine {
  std::mutex mutex;
  std::condition_variable wakeup;
  bool woken = false;
  timer_heap timers;

  void wake() {
    std::lock_guard hold(mutex);
    woken = true;
    wakeup.notify_one();
  }
};

inline nanos steady_now() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace strait::inline STRAIT_ABI::detail
