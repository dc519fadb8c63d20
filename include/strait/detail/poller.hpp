// The parking seam: where an idle worker sleeps.
//
// There is one such place in a runtime, never two. Core alone plugs in a futex; I/O and remote
// channels plug in an epoll set that also holds the sockets, so that a packet, a timer, a completed
// read and a goroutine made ready by another worker all end the same sleep.
#pragma once

#include <cstdint>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// A point on the runtime's clock in nanoseconds; `never` is later than all others.
using nanos = std::int64_t;
inline constexpr nanos never = INT64_MAX;

struct poller {
  virtual ~poller() = default;

  /// Runs what is ready now, without sleeping; it may make goroutines ready. Returns whether it did
  /// anything. Called by a worker between goroutines, with no lock held.
  virtual bool poll() = 0;

  /// Sleeps until something is ready, until `wake`, or until `deadline`; may return early.
  /// Several idle workers may be in it at once.
  virtual void wait(nanos deadline) = 0;

  /// Ends one `wait`: one under way, or else the next. From any thread.
  virtual void wake() = 0;

  /// Whether something outside the process can still make a goroutine ready: then a runtime in
  /// which every goroutine waits is idle, not deadlocked.
  virtual bool live() const = 0;
};

}  // namespace strait::inline STRAIT_ABI::detail
