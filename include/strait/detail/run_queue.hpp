// A worker's run queue: a FIFO ring of 256 that other workers may steal from.
//
// The shape of Go's and tokio's. The owner alone pushes (tail); the owner and thieves pop by
// compare-exchange on head. FIFO rather than the LIFO of Chase-Lev deques: those win fork-join
// tables but starve the oldest peer of a channel.
//
// Memory order: a slot is written before tail is published (release) and read after tail was seen
// (acquire). A thief copies slots first and then moves head; if the owner or another thief was
// quicker the exchange fails and the copies are dropped, so a slot that was overwritten meanwhile
// is never used. head and tail are 32-bit and wrap; a head that wraps fully during one steal would
// need four billion pops. `push` publishes with seq_cst when somebody may sleep: the store must be
// ordered before the load of the idle count (scheduler.hpp), without a fence.
#pragma once

#include <array>
#include <cstdint>

#include <strait/detail/goroutine.hpp>

namespace strait::inline STRAIT_ABI::detail {

class run_queue {
 public:
  static constexpr std::uint32_t capacity = 256;

  /// Owner only. False when full.
  bool push(goroutine* g, bool solo) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == capacity) return false;
    slots_[tail % capacity].store(g, std::memory_order_relaxed);
    tail_.store(tail + 1, solo ? std::memory_order_release : std::memory_order_seq_cst);
    return true;
  }

  /// Owner only. With `solo` there are no thieves, and no locked instruction.
  goroutine* pop(bool solo) noexcept {
    std::uint32_t head = head_.load(std::memory_order_relaxed);
    for (;;) {
      if (head == tail_.load(std::memory_order_relaxed)) return nullptr;
      goroutine* const g = slots_[head % capacity].load(std::memory_order_relaxed);
      if (solo) {
        head_.store(head + 1, std::memory_order_relaxed);
        return g;
      }
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
        return g;
      }
    }
  }

  /// Any other worker: moves half of this queue (rounded up) into `into`, which is the caller's
  /// own and empty, and returns one of them.
  goroutine* steal_half(run_queue& into) noexcept {
    const std::uint32_t to = into.tail_.load(std::memory_order_relaxed);
    std::uint32_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint32_t tail = tail_.load(std::memory_order_acquire);
      const std::uint32_t size = tail - head;
      std::uint32_t n = size - size / 2;
      if (n == 0) return nullptr;
      if (n > capacity / 2) {  // head and tail were read at different times
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      for (std::uint32_t i = 0; i < n; ++i) {
        into.slots_[(to + i) % capacity].store(
            slots_[(head + i) % capacity].load(std::memory_order_relaxed),
            std::memory_order_relaxed);
      }
      if (head_.compare_exchange_weak(head, head + n, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        --n;
        goroutine* const g = into.slots_[(to + n) % capacity].load(std::memory_order_relaxed);
        if (n != 0) into.tail_.store(to + n, std::memory_order_seq_cst);
        return g;
      }
    }
  }

  /// A snapshot; seq_cst, because a worker asks it after it announced that it goes to sleep.
  std::uint32_t size() const noexcept {
    return tail_.load(std::memory_order_seq_cst) - head_.load(std::memory_order_seq_cst);
  }

 private:
  alignas(64) atomic<std::uint32_t> head_{0};
  alignas(64) atomic<std::uint32_t> tail_{0};
  std::array<atomic<goroutine*>, capacity> slots_{};
};

}  // namespace strait::inline STRAIT_ABI::detail
