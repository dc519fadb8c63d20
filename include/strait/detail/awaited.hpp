// What `co_await op` gives, and which goroutine awaits.
#pragma once

#include <coroutine>
#include <type_traits>
#include <utility>

#include <strait/detail/promise.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Gives the running goroutine; never suspends.
struct this_goroutine : operation {
  using never_waits = void;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  goroutine* await_resume() const noexcept { return g_; }
};

template <class Op>
struct awaited {
  using type = decltype(std::declval<Op>().await_resume());
};
template <makes_operation Op>
struct awaited<Op> {
  using type = decltype(std::declval<Op>().as_operation().await_resume());
};
template <class T>
struct awaited<task<T>> {
  using type = T;
};
/// What `co_await op` gives.
template <class Op>
using awaited_t = typename awaited<std::remove_cvref_t<Op>>::type;

}  // namespace strait::inline STRAIT_ABI::detail
