// What a mutex is inside.
//
// One word holds the lock: taking and releasing it uncontended is a compare-exchange each. Waiters
// are in a FIFO under a spin lock, which nobody touches while nobody waits.
//
// Release wakes the longest waiter and lets it compete: whoever runs may take the lock first. A
// waiter that lost so goes back to the front, and the next release hands the lock to it directly.
// So a running goroutine keeps the lock cheap (a lock that is handed over at each release costs two
// switches for each use, for as long as anybody waits), and no waiter is passed by twice.
// A case of a select, and a plain thread, are always handed the lock: they cannot try again.
//
// Invariants
// - `word` is 0, held, or held|look. `look` sends the release to the queue; it is set by those who
//   wait, with the spin lock held, and only while the lock is held.
// - The queue is not empty => `look` is set, or `woken`: a waiter was woken and has not tried yet.
//   It looks at the queue when it does, so a release need not wake another.
// - While the spin lock is held and `look` is set the word changes by its holder only: a release
//   needs the spin lock then. Between try_locked and link_locked nothing is so missed.
// - A woken waiter was claimed under the spin lock: a cancellation that comes later does not touch
//   it, and one that came first has taken it out of the race. Neither holds anything.
// - The last access of a release that leaves no waiter is its compare-exchange, so the mutex may be
//   destroyed by whoever locks it next.
//
// Memory order: taking the word is an acquire, giving it up a release; a lock that is handed over
// passes through the claim (acq_rel) and the run queue.
//
// Rejected: handing over at every release (four tasks on one worker: each that is made to yield
// inside starts a convoy that never ends); Go's clock for starvation (a clock read a wait; the
// second try decides as well); the spin lock alone, without the word (same locked instructions, but
// a descheduled thread in it stops everybody).
#pragma once

#include <cstdint>

#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI::detail {

struct lock_node : waiter {
  bool direct = true;    // is handed the lock; otherwise it is woken to try for it
  bool granted = false;  // was handed it
  bool taken = false;    // took it as a case of a select
};

struct mutex_state {
  static constexpr std::uint32_t held = 1, look = 2;

  bool exchange(std::uint32_t from, std::uint32_t to, std::memory_order order) noexcept {
    return word.compare_exchange_strong(from, to, order, std::memory_order_relaxed);
  }
  bool try_fast() noexcept { return exchange(0, held, std::memory_order_acquire); }

  /// Takes the lock, or sees to it that its release looks at the queue. Under the spin lock.
  bool try_locked() noexcept {
    for (;;) {
      if (try_fast()) return true;
      if (woken || word.load(std::memory_order_relaxed) == (held | look)) return false;
      if (exchange(held, held | look, std::memory_order_relaxed)) return false;
    }
  }
  /// The same for the waiter that was woken, on which those in the queue rely.
  bool retry_locked() noexcept {
    woken = false;
    const std::uint32_t taken = waiters.empty() ? held : held | look;
    for (;;) {
      if (exchange(0, taken, std::memory_order_acquire)) return true;
      if (exchange(held, held | look, std::memory_order_relaxed)) return false;
    }
  }

  void release() {
    while (!exchange(held, 0, std::memory_order_release)) {
      if (goroutine* const g = release_slow()) return scheduler::ready(g);
    }
  }

  atomic<std::uint32_t> word{0};
  spin_lock lock;
  bool woken = false;  // these two are guarded by `lock`
  wait_queue waiters;

 private:
  /// Whom to make ready; null if nobody waits any more, and the lock is still held.
  STRAIT_NOINLINE goroutine* release_slow() noexcept {
    goroutine* next = nullptr;
    lock.lock();
    auto* const w = static_cast<lock_node*>(pop_claimed(waiters));
    if (w == nullptr) {
      word.store(held, std::memory_order_relaxed);
    } else {
      next = w->g;
      if (w->direct) {
        w->granted = true;
        word.store(waiters.empty() ? held : held | look, std::memory_order_relaxed);
      } else {
        woken = true;
        word.store(0, std::memory_order_release);
      }
    }
    lock.unlock();
    return next;
  }
};

}  // namespace strait::inline STRAIT_ABI::detail
