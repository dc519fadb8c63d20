// A gate that opens once: std::latch for goroutines.
//
// A count and a FIFO under one spin lock. Whoever brings the count to zero claims all who wait,
// under that lock, and does not touch the latch after its release: a waiter may destroy it.
#pragma once

#include <cstddef>

#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI {

/// A gate that opens when it was counted down to zero, and stays open.
class latch {
 public:
  class wait_op : public detail::wait_op<wait_op> {
   public:
    static constexpr detail::wait_reason reason = detail::wait_reason::latch;
    explicit wait_op(latch& l) noexcept : latch_(&l) {}
    detail::spin_lock* queue_lock() const noexcept { return &latch_->lock_; }
    bool try_locked(detail::ready_list&) const noexcept { return latch_->count_ == 0; }
    void link_locked() noexcept { latch_->waiters_.push_back(this); }
    void unlink_locked() noexcept { latch_->waiters_.remove(this); }
    void result() const noexcept {}
    const void* subject() const noexcept { return latch_; }

   private:
    latch* latch_;
  };

  explicit latch(std::size_t count) noexcept : count_(count) {}
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  /// Counts down by n; at zero all who wait go on. Never suspends, works on any thread. Throws
  /// `misuse`, and changes nothing, if less than n is left.
  void count_down(std::size_t n = 1) {
    detail::ready_list woken;
    lock_.lock();
    const bool enough = n <= count_;
    if (enough) count_ -= n;
    if (enough && count_ == 0) {
      while (detail::waiter* const w = detail::pop_claimed(waiters_)) woken.push(w->g);
    }
    lock_.unlock();
    if (!enough) throw misuse("latch: counted down below zero");
    detail::scheduler::ready_all(woken);
  }
  /// `co_await l.wait()` suspends until the count is zero. Throws `cancelled`. A case of select,
  /// and of st::wait, as well.
  wait_op wait() noexcept { return wait_op(*this); }
  /// Whether it is open; never suspends.
  bool is_open() noexcept {
    lock_.lock();
    const bool open = count_ == 0;
    lock_.unlock();
    return open;
  }

 private:
  detail::spin_lock lock_;
  std::size_t count_;  // these two are guarded by `lock_`
  detail::wait_queue waiters_;
};

}  // namespace strait::inline STRAIT_ABI
