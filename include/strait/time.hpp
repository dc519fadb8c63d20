// Sleeping, timeouts in select, timers and tickers, on the runtime's clock.
//
// Durations are steady time. Nothing fires early; d <= 0 is due at once, and a duration too long to
// add to the clock never ends. In a simulation the clock is virtual.
#pragma once

#include <chrono>
#include <stdexcept>

#include <strait/detail/time_ops.hpp>

namespace strait::inline STRAIT_ABI {

/// Suspends the goroutine for `d` at least.
template <class Rep, class Period>
detail::sleep_op sleep(std::chrono::duration<Rep, Period> d) noexcept {
  return detail::sleep_op(detail::saturated(d));
}
/// Suspends the goroutine until `t` of the runtime's clock.
inline detail::sleep_op sleep_until(clock::time_point t) noexcept { return detail::sleep_op(t); }

/// The timeout case of a select: ready once `d` has passed since the select began. Gives the time
/// it was due. A case that did not win leaves no timer behind.
template <class Rep, class Period>
detail::after_op after(std::chrono::duration<Rep, Period> d) noexcept {
  return detail::after_op(detail::saturated(d));
}
/// The same for a point in time.
inline detail::after_op at(clock::time_point t) noexcept { return detail::after_op(t); }

/// Lets the other ready goroutines of this worker run first.
inline detail::yield_op yield() noexcept { return {}; }

/// The runtime's time: steady, or virtual in a simulation.
inline clock::time_point now() noexcept {
  detail::worker* const w = detail::this_thread().w;
  return detail::to_time(w != nullptr ? w->sched.now() : detail::steady_now());
}

/// Fires once, `d` after it was made or reset. Belongs to the run it was made in.
class timer : detail::alarm {
 public:
  template <class Rep, class Period>
  explicit timer(std::chrono::duration<Rep, Period> d) {
    start(detail::saturated(d).count(), 0);
  }
  /// Waits for it, and gives the time it was due; a case of select. Waits for ever if it is
  /// stopped.
  detail::alarm_op recv() noexcept { return detail::alarm_op(&state_); }
  /// Stops it: nothing is received any more, even if it had fired. Whether there was anything to
  /// stop: false if its value was received or it was stopped before.
  bool stop() noexcept { return halt(false); }
  /// Starts it anew; returns as `stop`. A value of the time before is never received.
  template <class Rep, class Period>
  bool reset(std::chrono::duration<Rep, Period> d) {
    return start(detail::saturated(d).count(), 0);
  }
};

/// Fires every `d`. A receiver that is slow misses ticks: at most one is kept.
class ticker : detail::alarm {
 public:
  /// Throws std::invalid_argument if d is not positive.
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> d) {
    begin(detail::saturated(d).count());
  }
  /// Waits for the next tick and gives the time it was due; empty once stopped. A case of select.
  detail::alarm_op recv() noexcept { return detail::alarm_op(&state_); }
  /// Ends it: receivers see the end.
  void stop() noexcept { halt(true); }
  /// Starts anew with another period, the first tick after one period.
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> d) {
    begin(detail::saturated(d).count());
  }

 private:
  void begin(detail::nanos period) {
    if (period <= 0) throw std::invalid_argument("strait: a ticker's period must be positive");
    start(period, period);
  }
};

}  // namespace strait::inline STRAIT_ABI
