// The small lock of channels, timers and contexts.
//
// One locked instruction to take it (exchange), a plain store to release it: half the price of
// std::mutex, which matters because an uncontended channel operation is little else. Critical
// sections are a few dozen instructions, never run user code except the noexcept move of a value,
// and never suspend. A holder that is descheduled is waited for with yields, not with a spin.
#pragma once

#include <cstdint>
#include <thread>

#include <strait/detail/atomic.hpp>

namespace strait::inline STRAIT_ABI::detail {

inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class spin_lock {
 public:
  spin_lock() = default;
  spin_lock(const spin_lock&) = delete;
  spin_lock& operator=(const spin_lock&) = delete;

  void lock() noexcept {
    while (held_.exchange(1, std::memory_order_acquire) != 0) wait();
  }
  bool try_lock() noexcept {
    return held_.load(std::memory_order_relaxed) == 0 &&
           held_.exchange(1, std::memory_order_acquire) == 0;
  }
  void unlock() noexcept { held_.store(0, std::memory_order_release); }

 private:
  STRAIT_NOINLINE void wait() noexcept {
    for (int spins = 0; held_.load(std::memory_order_relaxed) != 0; ++spins) {
      if (spins < 100) {
        cpu_relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

  atomic<std::uint32_t> held_{0};
};

}  // namespace strait::inline STRAIT_ABI::detail
