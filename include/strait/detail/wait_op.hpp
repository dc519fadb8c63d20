// How every operation waits: try under the queue's lock, else link a node and suspend.
//
// An operation (a receive, a lock, a sleep) provides
//   spin_lock* queue_lock()            the lock of its queue; null if it can never be ready (nil)
//   bool try_locked(ready_list&)       does it now if it can; goroutines it woke go into the list
//   void link_locked()                 enters the queue
//   void unlink_locked() noexcept      leaves it; a no-op for a node that was taken out
//   bool won() const                   (optional) after a wake: whether it was done for us
//   R result()                         the outcome, or throws
//   static constexpr wait_reason reason; const void* subject()
// and gets from `wait_op` the awaiter interface, while select drives the same five functions for
// several operations at once (detail/select_engine.hpp).
//
// Invariant: from a failed try to the suspension the queue's lock is held, so nothing can become
// ready unseen in between; releasing it is the last access to the frame.
#pragma once

#include <coroutine>
#include <exception>

#include <strait/detail/context_state.hpp>
#include <strait/detail/goroutine.hpp>
#include <strait/detail/promise.hpp>
#include <strait/detail/scheduler.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Publishes a parked goroutine. Out of line: once the lock is released the frame may be gone, and
/// some compilers write to it after an inlined await_suspend.
STRAIT_NOINLINE inline void release_parked(spin_lock* lock) noexcept { lock->unlock(); }

/// While one of these lives, waits that its goroutine begins cannot be cancelled.
class shielded {
 public:
  explicit shielded(goroutine* g) noexcept : g_(g) { ++g_->shields; }
  shielded(const shielded&) = delete;
  shielded& operator=(const shielded&) = delete;
  ~shielded() { --g_->shields; }

 private:
  goroutine* const g_;
};

template <class Op, class Node = waiter>
struct wait_op : operation, Node {
  bool await_ready() {
    goroutine* const self = Node::g = g_;
    if (self->cancel_pending()) {
      phase_ = phase::cancelled;
      return true;
    }
    spin_lock* const lock = op().queue_lock();
    if (lock == nullptr) return false;
    lock->lock();
    ready_list woken;
    if (op().try_locked(woken)) {
      lock->unlock();
      phase_ = phase::done;
      if (!woken.empty()) scheduler::ready_all_from(self->on, woken);
      return --self->budget != 0;
    }
    return false;
  }

  bool await_suspend(std::coroutine_handle<> self) {
    goroutine* const me = g_;
    me->resume_at = self;
    if (phase_ == phase::done) {  // the budget is used up: let others run
      me->sched->yield_current(me);
      return true;
    }
    spin_lock* const lock = op().queue_lock();
    me->note(Op::reason, op().subject());
    phase_ = phase::parked;  // before the wait begins: a cancellation resumes us at once
    if (!me->begin_wait()) {
      if (lock != nullptr) lock->unlock();
      phase_ = phase::cancelled;
      return false;
    }
    if (lock == nullptr) return true;  // only a cancellation ends this wait
    op().link_locked();
    release_parked(lock);
    return true;
  }

  decltype(auto) await_resume() {
    if (phase_ != phase::done) [[unlikely]] {
      settle();
    }
    return op().result();
  }

  const void* subject() const noexcept { return nullptr; }

 private:
  enum class phase : unsigned char { untried, done, parked, cancelled };

  Op& op() noexcept { return static_cast<Op&>(*this); }

  void settle() {
    if (phase_ == phase::parked) {
      g_->note(wait_reason::none, nullptr);
      if (g_->won == this) return;
      if (spin_lock* const lock = op().queue_lock(); lock != nullptr) {
        lock->lock();
        op().unlink_locked();
        lock->unlock();
      }
    }
    throw_cancelled(g_);
  }

  phase phase_ = phase::untried;
};

/// Takes the first waiter whose goroutine can be claimed out of the queue; null if there is none.
/// The others have been claimed elsewhere (another case of a select, a cancellation).
inline waiter* pop_claimed(wait_queue& queue) noexcept {
  while (waiter* const w = queue.pop_front()) {
    if (w->g->claim(w)) return w;
  }
  return nullptr;
}

}  // namespace strait::inline STRAIT_ABI::detail
