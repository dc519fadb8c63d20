// The poller of a runtime without I/O: idle workers sleep on a counter of wake-ups.
//
// A semaphore on a futex: `wake` leaves a token, `wait` takes one. The kernel compares the counter
// with 0 before it puts a thread to sleep, so a token that is left meanwhile is seen. (Not a
// std::condition_variable: glibc's may lose a signal when several threads wait, bug 25847.)
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include <strait/detail/atomic.hpp>
#include <strait/detail/poller.hpp>

namespace strait::inline STRAIT_ABI::detail {

class futex_poller final : public poller {
 public:
  bool poll() override { return false; }

  void wait(nanos deadline) override {
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    while (!take()) {
      if (sleep(deadline)) break;  // the time is over; a token that came just now stays
    }
    waiters_.fetch_sub(1, std::memory_order_relaxed);
  }

  void wake() override {
    tokens_.fetch_add(1, std::memory_order_seq_cst);
    if (waiters_.load(std::memory_order_seq_cst) != 0) {
      ::syscall(SYS_futex, &tokens_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

  bool live() const override { return false; }

 private:
  bool take() noexcept {
    std::uint32_t have = tokens_.load(std::memory_order_seq_cst);
    while (have != 0) {
      if (tokens_.compare_exchange_weak(have, have - 1, std::memory_order_seq_cst)) return true;
    }
    return false;
  }

  /// Sleeps while there is no token. True when the deadline has passed.
  bool sleep(nanos deadline) noexcept {
    timespec until{};
    if (deadline != never) {
      until.tv_sec = static_cast<time_t>(deadline / 1'000'000'000);
      until.tv_nsec = static_cast<long>(deadline % 1'000'000'000);
    }
    // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock, which is steady_clock's.
    const long result =
        ::syscall(SYS_futex, &tokens_, FUTEX_WAIT_BITSET_PRIVATE, 0,
                  deadline == never ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == -1 && errno == ETIMEDOUT;
  }

  static_assert(sizeof(atomic<std::uint32_t>) == 4);
  atomic<std::uint32_t> tokens_{0};
  atomic<std::uint32_t> waiters_{0};
};

}  // namespace strait::inline STRAIT_ABI::detail
