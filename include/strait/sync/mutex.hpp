// A lock that suspends the goroutine, not the thread. How it works: detail/mutex_state.hpp.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include <strait/detail/mutex_state.hpp>
#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI {

/// Mutual exclusion between goroutines, also across suspensions: a guard may be held over a
/// co_await. Not recursive. Must outlive its guards and waiters.
class mutex {
 public:
  /// Holds the lock, or nothing; releases it when destroyed, on any thread. Move-only.
  class [[nodiscard("the lock is released when its guard is destroyed")]] guard {
   public:
    guard() noexcept = default;
    guard(guard&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
    guard& operator=(guard&& other) noexcept {
      if (this != &other) {
        unlock();
        held_ = std::exchange(other.held_, nullptr);
      }
      return *this;
    }
    ~guard() { unlock(); }

    /// Whether it holds the lock.
    explicit operator bool() const noexcept { return held_ != nullptr; }
    /// Releases the lock now; nothing if it holds none.
    void unlock() noexcept {
      if (detail::mutex_state* const m = std::exchange(held_, nullptr)) m->release();
    }

   private:
    friend class mutex;
    friend class condvar;
    explicit guard(detail::mutex_state* m) noexcept : held_(m) {}
    detail::mutex_state* held_ = nullptr;
  };

  class lock_op;

  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// `auto hold = co_await m.lock();` suspends until the lock is free and gives its guard; the
  /// waiter resumes on a worker of its runtime. A case of select, and of st::wait, as well. Throws
  /// `cancelled`, having taken nothing. No waiter is passed by more than once.
  lock_op lock() noexcept;
  /// The guard if the lock is free, else an empty one; never suspends, on any thread.
  guard try_lock() noexcept { return guard(state_.try_fast() ? &state_ : nullptr); }

 private:
  detail::mutex_state state_;
};

class mutex::lock_op : public detail::wait_op<lock_op, detail::lock_node> {
 public:
  static constexpr detail::wait_reason reason = detail::wait_reason::mutex;

  lock_op(lock_op&&) noexcept = default;  // only before it is awaited
  lock_op& operator=(lock_op&&) = delete;
  ~lock_op() {  // it won a select, but nobody asked for the result
    if (granted || taken) mutex_->release();
  }

  // What select drives.
  detail::spin_lock* queue_lock() const noexcept { return &mutex_->lock; }
  bool try_locked(detail::ready_list&) noexcept { return taken = mutex_->try_locked(); }
  void link_locked() noexcept { mutex_->waiters.push_back(this); }
  void unlink_locked() noexcept { mutex_->waiters.remove(this); }
  guard result() noexcept {
    granted = taken = false;
    return guard(mutex_);
  }
  const void* subject() const noexcept { return mutex_; }

  // What co_await drives: unlike wait_op, it tries without the spin lock first, lets others run
  // before it takes the lock rather than with it, and tries again when it was woken.
  bool await_ready() noexcept {
    detail::goroutine* const self = this->g = g_;
    if (self->cancel_pending()) [[unlikely]] {
      outcome_ = outcome::cancelled;
      return true;
    }
    if (self->budget <= 1) [[unlikely]] {
      return false;
    }
    --self->budget;
    if (!mutex_->try_fast()) [[unlikely]] {
      return false;
    }
    outcome_ = outcome::locked;
    return true;
  }
  bool await_suspend(std::coroutine_handle<> self);
  guard await_resume() {
    if (outcome_ != outcome::locked) [[unlikely]] {
      settle();
    }
    return guard(mutex_);
  }

 private:
  friend class mutex;
  friend class condvar;
  enum class outcome : unsigned char { open, locked, cancelled };

  /// Stands in for the goroutine's coroutine until the lock is taken, or the wait cancelled: it is
  /// resumed by a wake that may have to wait once more.
  struct stand_in {
    struct promise_type {
      explicit promise_type(lock_op& op) noexcept : waits(&op) {}
      stand_in get_return_object() noexcept {
        return {std::coroutine_handle<promise_type>::from_promise(*this)};
      }
      static void* operator new(std::size_t n) { return detail::frame_allocate(n); }
      static void operator delete(void* p, std::size_t n) noexcept { detail::frame_free(p, n); }
      std::suspend_always initial_suspend() const noexcept { return {}; }
      struct handover {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(
            std::coroutine_handle<promise_type> self) const noexcept {
          lock_op* const op = self.promise().waits;
          self.destroy();
          return detail::transfer(op->g_, op->caller_);
        }
        void await_resume() const noexcept {}
      };
      handover final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
      lock_op* waits;
    };
    std::coroutine_handle<promise_type> frame;
  };
  /// Ready when the wait is over; else links the node again.
  struct next_try {
    explicit next_try(lock_op& o) noexcept : op(&o) {}
    bool await_ready() noexcept { return op->over(); }
    bool await_suspend(std::coroutine_handle<>) noexcept { return op->park(); }
    void await_resume() const noexcept {}
    lock_op* op;
  };

  explicit lock_op(detail::mutex_state* m) noexcept : mutex_(m) {}

  static stand_in stand_for(lock_op& op) {
    while (op.outcome_ == outcome::open) co_await next_try(op);
  }

  /// After a resumption: what came of it. False with the spin lock held: wait (again).
  bool over() noexcept {
    if (parked_) {
      parked_ = false;
      g_->note(detail::wait_reason::none, nullptr);
      if (g_->won != this) {
        outcome_ = outcome::cancelled;
        return true;
      }
      if (granted) {
        granted = false;
        outcome_ = outcome::locked;
        return true;
      }
      mutex_->lock.lock();
      direct = true;
      if (!mutex_->retry_locked()) return false;
    } else {
      if (g_->cancel_pending()) {
        outcome_ = outcome::cancelled;
        return true;
      }
      mutex_->lock.lock();
      if (!mutex_->try_locked()) return false;
    }
    mutex_->lock.unlock();
    outcome_ = outcome::locked;
    return true;
  }
  /// With the spin lock held: false if the goroutine is cancelled instead.
  STRAIT_NOINLINE bool park() noexcept {
    g_->note(reason, mutex_);
    parked_ = true;  // before the wait begins: a cancellation resumes us at once
    if (!g_->begin_wait()) {
      parked_ = false;
      mutex_->lock.unlock();
      g_->note(detail::wait_reason::none, nullptr);
      outcome_ = outcome::cancelled;
      return false;
    }
    const bool again = direct && !g_->has(detail::goroutine::thread);
    again ? mutex_->waiters.push_front(this) : mutex_->waiters.push_back(this);
    detail::release_parked(&mutex_->lock);
    return true;
  }
  STRAIT_NOINLINE void settle() {
    if (parked_ && over() && outcome_ == outcome::locked) return;  // a thread: has no stand-in
    mutex_->lock.lock();
    unlink_locked();
    mutex_->lock.unlock();
    detail::throw_cancelled(g_);
  }

  detail::mutex_state* mutex_;
  std::coroutine_handle<> caller_;
  outcome outcome_ = outcome::open;
  bool parked_ = false;
};

inline mutex::lock_op mutex::lock() noexcept { return lock_op(&state_); }

STRAIT_NOINLINE inline bool mutex::lock_op::await_suspend(std::coroutine_handle<> self) {
  if (g_->has(detail::goroutine::thread)) return !over() && park();
  direct = false;
  caller_ = self;
  if (g_->budget <= 1) {
    g_->resume_at = stand_for(*this).frame;
    g_->sched->yield_current(g_);
    return true;
  }
  const auto frame = stand_for(*this).frame;  // allocates: not under the spin lock
  g_->resume_at = frame;
  if (!over() && park()) return true;
  frame.destroy();
  return false;
}

}  // namespace strait::inline STRAIT_ABI
