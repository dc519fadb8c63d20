// Exceptions as values.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <strait/detail/awaited.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI {

/// The outcome of an operation that did not throw out: a value or an exception.
template <class T>
class result {
 public:
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  explicit result(stored v) : value_(std::move(v)) {}
  explicit result(std::exception_ptr e) noexcept : error_(std::move(e)) {}
  explicit operator bool() const noexcept { return value_.has_value(); }
  bool has_value() const noexcept { return value_.has_value(); }
  stored& operator*() noexcept { return *value_; }
  stored* operator->() noexcept { return &*value_; }
  /// The exception; null if there is a value.
  const std::exception_ptr& error() const noexcept { return error_; }
  /// The value, or throws the exception.
  stored& value() {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }

 private:
  std::optional<stored> value_;
  std::exception_ptr error_;
};

/// Awaits `op` and gives what it threw as a value, but for `cancelled`, which always goes through.
template <class Op>
task<result<detail::awaited_t<Op>>> as_result(Op&& op) {
  using T = detail::awaited_t<Op>;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await detail::behalf_of_caller(std::forward<Op>(op));
      co_return result<T>(std::monostate{});
    } else {
      auto&& v = co_await detail::behalf_of_caller(std::forward<Op>(op));
      co_return result<T>(std::forward<decltype(v)>(v));
    }
  } catch (const cancelled&) {
    throw;
  } catch (...) {
    error = std::current_exception();
  }
  co_return result<T>(std::move(error));
}

}  // namespace strait::inline STRAIT_ABI
