// A meeting of a fixed number of goroutines, again and again: std::barrier for goroutines.
//
// A count, the number of the meeting and a FIFO under one spin lock. An arrival cannot be taken
// back, also not by a cancellation: those it was counted with may be on their way already. That is
// why arriving is a task, and no case of a select.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <utility>

#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI {

/// All of n goroutines wait until the last of them has arrived. Must outlive its waiters.
class barrier {
 public:
  /// `at_meeting`, if given, is called at each meeting by the last to arrive, before anybody goes
  /// on; it must neither suspend nor use the barrier. What it throws goes to that one, and the
  /// others go on. Throws std::invalid_argument if n is 0.
  explicit barrier(std::size_t n, std::function<void()> at_meeting = {})
      : expected_(n), at_meeting_(std::move(at_meeting)) {
    if (n == 0) throw std::invalid_argument("strait: a barrier needs somebody to wait for");
  }
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Suspends until all have arrived. Throws `cancelled`; its arrival counts all the same.
  task<> arrive_and_wait() {
    const std::uint64_t meeting = arrive(0);
    co_await detail::behalf_of_caller(wait_op(*this, meeting));
  }
  /// Arrives, and is not expected at later meetings; never suspends. Throws `misuse` if nobody is
  /// expected any more.
  void arrive_and_drop() { arrive(1); }

 private:
  struct wait_op : detail::wait_op<wait_op> {
    static constexpr detail::wait_reason reason = detail::wait_reason::barrier;
    wait_op(barrier& b, std::uint64_t meeting) noexcept : barrier_(&b), meeting_(meeting) {}
    detail::spin_lock* queue_lock() const noexcept { return &barrier_->lock_; }
    bool try_locked(detail::ready_list&) const noexcept { return barrier_->meeting_ != meeting_; }
    void link_locked() noexcept { barrier_->waiters_.push_back(this); }
    void unlink_locked() noexcept { barrier_->waiters_.remove(this); }
    void result() const noexcept {}
    const void* subject() const noexcept { return barrier_; }

   private:
    barrier* barrier_;
    std::uint64_t meeting_;
  };

  /// Counts an arrival, and holds the meeting if it is the last. The number of that meeting.
  std::uint64_t arrive(std::size_t leaving) {
    lock_.lock();
    const std::uint64_t meeting = meeting_;
    const bool expected = arrived_ < expected_;
    if (expected) ++arrived_;
    dropped_ += expected ? leaving : 0;
    const bool last = expected && arrived_ == expected_;
    lock_.unlock();
    if (!expected) throw misuse("barrier: more have arrived than are expected");
    if (!last) return meeting;
    struct opener {
      explicit opener(barrier& b) noexcept : of(b) {}
      opener(const opener&) = delete;
      opener& operator=(const opener&) = delete;
      ~opener() { of.open(); }
      barrier& of;
    } const afterwards(*this);
    if (at_meeting_) at_meeting_();
    return meeting;
  }
  void open() noexcept {
    detail::ready_list woken;
    lock_.lock();
    expected_ -= dropped_;
    arrived_ = dropped_ = 0;
    ++meeting_;
    while (detail::waiter* const w = detail::pop_claimed(waiters_)) woken.push(w->g);
    lock_.unlock();
    detail::scheduler::ready_all(woken);
  }

  detail::spin_lock lock_;
  std::size_t expected_;  // all but the last are guarded by `lock_`
  std::size_t arrived_ = 0, dropped_ = 0;
  std::uint64_t meeting_ = 0;
  detail::wait_queue waiters_;
  const std::function<void()> at_meeting_;
};

}  // namespace strait::inline STRAIT_ABI
