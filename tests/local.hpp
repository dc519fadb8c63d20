// What the tests of the local core share: ways to run a coroutine, and values that count
// themselves.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <utility>

#include <strait/strait.hpp>

#include "support.hpp"

namespace strait_test {

namespace st = strait;

/// Runs `f(args...)` on `n` workers.
template <class F, class... Args>
auto run_on(unsigned n, F&& f, Args&&... args) {
  return st::run(st::runtime_options().workers(n), std::forward<F>(f), std::forward<Args>(args)...);
}

/// Lets all other goroutines of a one-worker run go as far as they can.
inline st::task<> settle() {
  for (int i = 0; i < 64; ++i) co_await st::yield();
}

/// The code of the channel_error that `op` throws; `refused` (never thrown near by) if it does not.
template <class Op>
st::task<st::channel_errc> error_of(Op&& op) {
  try {
    co_await std::forward<Op>(op);
  } catch (const st::channel_error& e) {
    co_return e.code();
  }
  co_return st::channel_errc::refused;
}

/// A value that knows how many of its kind exist, and how often it was copied.
struct counted {
  explicit counted(int v = 0) : value(v) { ++alive; }
  counted(const counted& other) : value(other.value) {
    ++alive;
    ++copies;
  }
  counted(counted&& other) noexcept : value(std::exchange(other.value, moved_from)) { ++alive; }
  counted& operator=(const counted& other) {
    value = other.value;
    ++copies;
    return *this;
  }
  counted& operator=(counted&& other) noexcept {
    value = std::exchange(other.value, moved_from);
    return *this;
  }
  ~counted() { --alive; }

  static constexpr int moved_from = -1;
  static inline std::atomic<int> alive = 0, copies = 0;
  int value;
};

}  // namespace strait_test
