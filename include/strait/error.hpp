// The errors of strait: what an operation throws, and why it is told apart from an end.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI {

/// Why a channel operation could not be done.
enum class channel_errc {
  closed,       ///< Send on a closed channel, or close of a nil one.
  no_receiver,  ///< Send on a channel that nobody can receive from any more.
  failed,       ///< The channel was closed with an error.
  lost,         ///< The far end's process or connection is gone: what is under way is unknown.
  refused,      ///< The far end does not serve this channel, or serves another type.
};

/// A channel operation failed. An orderly end of a channel is not an error: `recv` then gives an
/// empty result. The value of a send that throws stays with the caller.
class channel_error : public std::runtime_error {
 public:
  static constexpr std::size_t no_case = static_cast<std::size_t>(-1);

  channel_error(channel_errc code, const std::string& what)
      : std::runtime_error(what), code_(code) {}
  channel_errc code() const noexcept { return code_; }
  /// Which case of a select failed; `no_case` outside of select.
  std::size_t case_index() const noexcept { return case_index_; }
  void set_case_index(std::size_t i) noexcept { case_index_ = i; }

 private:
  channel_errc code_;
  std::size_t case_index_ = no_case;
};

/// Send on a channel that was closed, or whose last receiver left.
class closed : public channel_error {
 public:
  explicit closed(channel_errc code = channel_errc::closed)
      : channel_error(code, code == channel_errc::no_receiver
                                ? "strait: send on a channel without a receiver"
                                : "strait: send on a closed channel") {}
};

/// The channel was closed with an error by its other side.
class failed : public channel_error {
 public:
  explicit failed(const std::string& what) : channel_error(channel_errc::failed, what) {}
};

/// The process or the connection behind the channel is gone.
class lost : public channel_error {
 public:
  explicit lost(const std::string& what) : channel_error(channel_errc::lost, what) {}
};

/// The waiting goroutine's own context was cancelled. Deliberately no std::exception: a
/// `catch (const std::exception&)` in a worker must not swallow it. The cancelled operation has
/// taken nothing, and every later wait throws again.
class cancelled {
 public:
  cancelled() = default;
  explicit cancelled(std::exception_ptr cause) : cause_(std::move(cause)) {}
  /// What the canceller gave as the reason; may be null.
  const std::exception_ptr& cause() const noexcept { return cause_; }

 private:
  std::exception_ptr cause_;
};

/// `with_timeout` or `with_deadline` ran out before its operation ended.
class timed_out : public std::runtime_error {
 public:
  timed_out() : std::runtime_error("strait: timed out") {}
};

/// Join of a goroutine that has no result: it was cancelled.
class join_error : public std::runtime_error {
 public:
  explicit join_error(const std::string& what) : std::runtime_error(what) {}
};

/// Every goroutine waits and nothing can end any of the waits. The report was printed.
class deadlock : public std::runtime_error {
 public:
  explicit deadlock(const std::string& report) : std::runtime_error(report) {}
};

/// The library was used in a way that its documentation forbids.
class misuse : public std::logic_error {
 public:
  explicit misuse(const std::string& what) : std::logic_error("strait: " + what) {}
};

}  // namespace strait::inline STRAIT_ABI
