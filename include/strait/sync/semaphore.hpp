// A weighted semaphore: Go's x/sync/semaphore, with permits that give themselves back.
//
// Strictly first come, first served: while anybody waits, nobody passes, so a large request at the
// head is not starved by small ones behind it. A request for more than there ever is waits outside
// of the queue, for its cancellation only, and stops nobody.
//
// Everything is guarded by one spin lock, a locked instruction to take and one to give back. A
// permit is handed over by whoever gives it back, under that lock, to a waiter that it claimed: a
// cancelled waiter holds nothing. When it leaves the head of the queue those behind get their turn.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

struct acquire_node : waiter {
  std::size_t weight = 0;
  bool holds = false;  // the units are its own, but were not asked for yet
};

struct semaphore_state {
  explicit semaphore_state(std::size_t n) noexcept : size(n) {}

  bool try_locked(std::size_t weight) noexcept {
    if (!waiters.empty() || weight > size - used) return false;
    used += weight;
    return true;
  }
  /// Serves the head of the queue while there is enough for it.
  void grant_locked(ready_list& woken) noexcept {
    while (auto* const w = static_cast<acquire_node*>(waiters.front())) {
      if (w->weight > size - used) return;
      waiters.remove(w);
      if (!w->g->claim(w)) continue;  // cancelled, or another case of its select won
      used += w->weight;
      w->holds = true;
      woken.push(w->g);
    }
  }
  /// False if so much is not held.
  bool release(std::size_t weight) {
    ready_list woken;
    lock.lock();
    const bool held = weight <= used;
    if (held) {
      used -= weight;
      grant_locked(woken);
    }
    lock.unlock();
    scheduler::ready_all(woken);
    return held;
  }

  const std::size_t size;
  spin_lock lock;
  std::size_t used = 0;  // these two are guarded by `lock`
  wait_queue waiters;
};

}  // namespace detail

/// `n` units that goroutines share. Must outlive its permits and waiters.
class semaphore {
 public:
  /// Holds units, or nothing; gives them back when destroyed, on any thread. Move-only.
  class [[nodiscard("the units are given back when their permit is destroyed")]] permit {
   public:
    permit() noexcept = default;
    permit(permit&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)), weight_(std::exchange(other.weight_, 0)) {}
    permit& operator=(permit&& other) noexcept {
      if (this != &other) {
        release();
        from_ = std::exchange(other.from_, nullptr);
        weight_ = std::exchange(other.weight_, 0);
      }
      return *this;
    }
    ~permit() { release(); }

    /// Whether it was obtained, and not given back since.
    explicit operator bool() const noexcept { return from_ != nullptr; }
    /// The units it holds.
    std::size_t weight() const noexcept { return weight_; }
    /// Gives the units back now; nothing if it holds none.
    void release() noexcept {
      const std::size_t k = std::exchange(weight_, 0);
      if (detail::semaphore_state* const s = std::exchange(from_, nullptr)) s->release(k);
    }
    /// Forgets the units, which somebody will give back with `semaphore::release`; how many.
    std::size_t detach() noexcept {
      from_ = nullptr;
      return std::exchange(weight_, 0);
    }

   private:
    friend class semaphore;
    permit(detail::semaphore_state* s, std::size_t k) noexcept : from_(s), weight_(k) {}
    detail::semaphore_state* from_ = nullptr;
    std::size_t weight_ = 0;
  };

  class acquire_op : public detail::wait_op<acquire_op, detail::acquire_node> {
   public:
    static constexpr detail::wait_reason reason = detail::wait_reason::semaphore;

    acquire_op(acquire_op&&) noexcept = default;  // only before it is awaited
    acquire_op& operator=(acquire_op&&) = delete;
    ~acquire_op() {  // it won a select, but nobody asked for the result
      if (this->holds) from_->release(this->weight);
    }

    detail::spin_lock* queue_lock() const noexcept {
      return this->weight > from_->size ? nullptr : &from_->lock;
    }
    bool try_locked(detail::ready_list&) noexcept {
      return this->holds = from_->try_locked(this->weight);
    }
    void link_locked() noexcept { from_->waiters.push_back(this); }
    void unlink_locked() noexcept {
      const bool headed = from_->waiters.front() == this;
      from_->waiters.remove(this);
      if (!headed) return;
      detail::ready_list woken;
      from_->grant_locked(woken);
      detail::scheduler::ready_all(woken);  // only pushes: the lock may be held
    }
    permit result() noexcept {
      this->holds = false;
      return permit(from_, this->weight);
    }
    const void* subject() const noexcept { return from_; }

   private:
    friend class semaphore;
    acquire_op(detail::semaphore_state* s, std::size_t k) noexcept : from_(s) { this->weight = k; }
    detail::semaphore_state* from_;
  };

  explicit semaphore(std::size_t n) noexcept : state_(n) {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// `auto permit = co_await s.acquire(k);` suspends until k units are free and everybody who asked
  /// before was served. More than the semaphore has: waits until it is cancelled. Throws
  /// `cancelled`, having taken nothing. A case of select, and of st::wait, as well.
  acquire_op acquire(std::size_t k = 1) noexcept { return acquire_op(&state_, k); }
  /// The permit if k units are free and nobody waits, else an empty one; never suspends, on any
  /// thread.
  permit try_acquire(std::size_t k = 1) noexcept {
    state_.lock.lock();
    const bool taken = state_.try_locked(k);
    state_.lock.unlock();
    return taken ? permit(&state_, k) : permit();
  }
  /// Gives back k units that a permit detached. Throws `misuse` if so many are not held.
  void release(std::size_t k = 1) {
    if (!state_.release(k)) {
      throw misuse("semaphore: " + std::to_string(k) + " units released, more than are held");
    }
  }
  /// The units there are in all.
  std::size_t size() const noexcept { return state_.size; }

 private:
  detail::semaphore_state state_;
};

}  // namespace strait::inline STRAIT_ABI
