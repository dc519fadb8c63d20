// Waiting, with a mutex held, for something that others change under it: Go's Cond.
//
// Waiters are in a FIFO under a spin lock; a notification claims the one that waits longest, so a
// waiter that comes later never takes an earlier one's wake-up, and there are none that nobody
// sent. The node is linked before the mutex is released, both under the spin lock: a notification
// by whoever takes the mutex next finds it. Nothing takes the two locks in the other order.
//
// Re-taking the mutex is shielded: a wait always ends with the mutex held, also when it throws.
#pragma once

#include <utility>

#include <strait/detail/awaited.hpp>
#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>
#include <strait/sync/mutex.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI {

/// A condition variable for goroutines, used with one `mutex`. Must outlive its waiters.
class condvar {
 public:
  condvar() = default;
  condvar(const condvar&) = delete;
  condvar& operator=(const condvar&) = delete;

  /// `co_await cv.wait(hold)` releases the mutex of `hold`, suspends until it is notified, takes
  /// the mutex again and only then goes on. Throws `cancelled` if it is cancelled before it is
  /// notified, with the mutex held as well; a notification that came first is never lost. Throws
  /// `misuse` if `hold` holds nothing. For a time limit: `with_timeout(2s, cv.wait(hold))`.
  task<> wait(mutex::guard& hold) {
    detail::goroutine* const self = co_await detail::this_goroutine();
    detail::mutex_state* const m = hold.held_;
    if (m == nullptr) throw misuse("condvar: wait with a guard that holds no lock");
    bool notified = false;
    try {
      co_await detail::behalf_of_caller(wait_op(*this, hold));
      notified = true;
    } catch (const cancelled&) {
    }
    if (!hold) {
      const detail::shielded until_locked(self);
      hold = co_await detail::behalf_of_caller(mutex::lock_op(m));
    }
    if (!notified) detail::throw_cancelled(self);
  }
  /// Waits, as often as it takes, until `pred()` is true; `pred` is called with the mutex held.
  template <class Pred>
  task<> wait(mutex::guard& hold, Pred pred) {
    while (!pred()) co_await detail::behalf_of_caller(wait(hold));
  }

  /// Wakes the goroutine that waits longest, if any does. The caller need not hold the mutex. Never
  /// suspends, works on any thread.
  void notify_one() {
    lock_.lock();
    detail::waiter* const w = detail::pop_claimed(waiters_);
    lock_.unlock();
    if (w != nullptr) detail::scheduler::ready(w->g);
  }
  /// Wakes all that wait now.
  void notify_all() {
    detail::ready_list woken;
    lock_.lock();
    while (detail::waiter* const w = detail::pop_claimed(waiters_)) woken.push(w->g);
    lock_.unlock();
    detail::scheduler::ready_all(woken);
  }

 private:
  struct wait_op : detail::wait_op<wait_op> {
    static constexpr detail::wait_reason reason = detail::wait_reason::condvar;
    wait_op(condvar& c, mutex::guard& hold) noexcept : condvar_(&c), hold_(&hold) {}
    detail::spin_lock* queue_lock() const noexcept { return &condvar_->lock_; }
    bool try_locked(detail::ready_list&) const noexcept { return false; }
    void link_locked() noexcept {
      condvar_->waiters_.push_back(this);
      hold_->unlock();  // whoever takes the mutex now, and notifies, waits for the spin lock
    }
    void unlink_locked() noexcept { condvar_->waiters_.remove(this); }
    void result() const noexcept {}
    const void* subject() const noexcept { return condvar_; }

   private:
    condvar* condvar_;
    mutex::guard* hold_;
  };

  detail::spin_lock lock_;
  detail::wait_queue waiters_;  // guarded by `lock_`
};

}  // namespace strait::inline STRAIT_ABI
