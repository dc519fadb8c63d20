// Between std::chrono and the runtime's nanoseconds.
#pragma once

#include <chrono>

#include <strait/detail/poller.hpp>

namespace strait::inline STRAIT_ABI {

/// The clock of deadlines and timers; virtual in a simulation.
using clock = std::chrono::steady_clock;

namespace detail {

constexpr nanos to_nanos(clock::time_point t) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}
constexpr clock::time_point to_time(nanos n) noexcept {
  return clock::time_point(
      std::chrono::duration_cast<clock::duration>(std::chrono::nanoseconds(n)));
}
/// now + d, without overflow.
constexpr nanos after_now(nanos now, std::chrono::nanoseconds d) noexcept {
  if (d.count() <= 0) return now;
  return d.count() > never - 1 - now ? never - 1 : now + d.count();
}

}  // namespace detail
}  // namespace strait::inline STRAIT_ABI
