// A lock that many may share to read, or one has to write: Go's RWMutex.
//
// Writers are preferred: once one waits, readers that come later wait behind it, so a stream of
// readers cannot starve it. When a writer leaves, the readers that waited meanwhile go first, all
// at once, and then the next writer, so a stream of writers cannot starve readers either. Therefore
// a goroutine must not take a shared lock that it holds already: a writer may have come in between.
//
// Invariants, under the spin lock that guards everything
// - `writing` and `readers` > 0 never both.
// - A writer waits only while the lock is held; a reader only while a writer holds it or waits.
// - A lock is handed over by whoever gives it back, to a waiter that it claimed: a cancelled waiter
//   holds nothing. A writer that gives up lets the readers in that waited for it alone.
//
// Rejected: a count of readers per worker, for which a read lock would write no shared line. A read
// section that suspends may end on another worker, so each guard would have to remember its own.
#pragma once

#include <cstddef>
#include <utility>

#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

struct rwlock_node : waiter {
  bool holds = false;  // the lock is its own, but was not asked for yet
};

struct rwmutex_state {
  bool try_read_locked() noexcept {
    if (writing || !writers_waiting.empty()) return false;
    ++readers;
    return true;
  }
  bool try_write_locked() noexcept {
    if (writing || readers != 0) return false;
    writing = true;
    return true;
  }
  void admit_readers_locked(ready_list& woken) noexcept {
    while (waiter* const w = pop_claimed(readers_waiting)) {
      ++readers;
      static_cast<rwlock_node*>(w)->holds = true;
      woken.push(w->g);
    }
  }
  bool admit_writer_locked(ready_list& woken) noexcept {
    waiter* const w = pop_claimed(writers_waiting);
    if (w == nullptr) return false;
    writing = true;
    static_cast<rwlock_node*>(w)->holds = true;
    woken.push(w->g);
    return true;
  }

  void release_read() noexcept {
    ready_list woken;
    lock.lock();
    if (--readers == 0 && !admit_writer_locked(woken)) admit_readers_locked(woken);
    lock.unlock();
    scheduler::ready_all(woken);
  }
  void release_write() noexcept {
    ready_list woken;
    lock.lock();
    writing = false;
    admit_readers_locked(woken);
    if (readers == 0) admit_writer_locked(woken);
    lock.unlock();
    scheduler::ready_all(woken);
  }
  /// A writer that waited is gone: who waited only behind it goes on.
  void writer_gave_up_locked() noexcept {
    if (writing || !writers_waiting.empty()) return;
    ready_list woken;
    admit_readers_locked(woken);
    scheduler::ready_all(woken);  // only pushes: the lock may be held
  }

  spin_lock lock;
  bool writing = false;
  std::size_t readers = 0;
  wait_queue readers_waiting, writers_waiting;
};

template <bool Shared>
class rwlock_guard;

template <bool Shared>
class rwlock_op : public wait_op<rwlock_op<Shared>, rwlock_node> {
 public:
  static constexpr wait_reason reason = wait_reason::mutex;

  explicit rwlock_op(rwmutex_state* s) noexcept : state_(s) {}
  rwlock_op(rwlock_op&&) noexcept = default;  // only before it is awaited
  rwlock_op& operator=(rwlock_op&&) = delete;
  ~rwlock_op() {  // it won a select, but nobody asked for the result
    if (this->holds) rwlock_guard<Shared>(state_).unlock();
  }

  spin_lock* queue_lock() const noexcept { return &state_->lock; }
  bool try_locked(ready_list&) noexcept {
    return this->holds = Shared ? state_->try_read_locked() : state_->try_write_locked();
  }
  void link_locked() noexcept { queue().push_back(this); }
  void unlink_locked() noexcept {
    queue().remove(this);
    if constexpr (!Shared) state_->writer_gave_up_locked();
  }
  rwlock_guard<Shared> result() noexcept {
    this->holds = false;
    return rwlock_guard<Shared>(state_);
  }
  const void* subject() const noexcept { return state_; }

 private:
  wait_queue& queue() const noexcept {
    return Shared ? state_->readers_waiting : state_->writers_waiting;
  }
  rwmutex_state* state_;
};

template <bool Shared>
class [[nodiscard("the lock is released when its guard is destroyed")]] rwlock_guard {
 public:
  rwlock_guard() noexcept = default;
  explicit rwlock_guard(rwmutex_state* s) noexcept : held_(s) {}
  rwlock_guard(rwlock_guard&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  rwlock_guard& operator=(rwlock_guard&& other) noexcept {
    if (this != &other) {
      unlock();
      held_ = std::exchange(other.held_, nullptr);
    }
    return *this;
  }
  ~rwlock_guard() { unlock(); }

  /// Whether it holds the lock.
  explicit operator bool() const noexcept { return held_ != nullptr; }
  /// Releases the lock now; nothing if it holds none.
  void unlock() noexcept {
    rwmutex_state* const s = std::exchange(held_, nullptr);
    if (s == nullptr) return;
    if constexpr (Shared) {
      s->release_read();
    } else {
      s->release_write();
    }
  }

 private:
  rwmutex_state* held_ = nullptr;
};

}  // namespace detail

/// Mutual exclusion between one writer and any number of readers; guards may be held over a
/// co_await. Not recursive, in neither form. Must outlive its guards and waiters.
class rwmutex {
 public:
  /// Holds the lock to write, or to share, or nothing; releases it when destroyed, on any thread.
  /// Move-only.
  using guard = detail::rwlock_guard<false>;
  using shared_guard = detail::rwlock_guard<true>;

  rwmutex() = default;
  rwmutex(const rwmutex&) = delete;
  rwmutex& operator=(const rwmutex&) = delete;

  /// `auto hold = co_await m.lock();` suspends until nobody else holds the lock, and keeps readers
  /// that come later out. Throws `cancelled`, having taken nothing. A case of select, and of
  /// st::wait, as well.
  detail::rwlock_op<false> lock() noexcept { return detail::rwlock_op<false>(&state_); }
  /// `auto hold = co_await m.lock_shared();` suspends while a writer holds the lock or waits for
  /// it.
  detail::rwlock_op<true> lock_shared() noexcept { return detail::rwlock_op<true>(&state_); }
  /// The guard if it can be had now, else an empty one; never suspends, on any thread.
  guard try_lock() noexcept {
    state_.lock.lock();
    const bool taken = state_.try_write_locked();
    state_.lock.unlock();
    return taken ? guard(&state_) : guard();
  }
  shared_guard try_lock_shared() noexcept {
    state_.lock.lock();
    const bool taken = state_.try_read_locked();
    state_.lock.unlock();
    return taken ? shared_guard(&state_) : shared_guard();
  }

 private:
  detail::rwmutex_state state_;
};

}  // namespace strait::inline STRAIT_ABI
