// A coroutine that a goroutine can call.
#pragma once

#include <coroutine>
#include <utility>

#include <strait/detail/promise.hpp>

namespace strait::inline STRAIT_ABI {

/// The return type of every coroutine that runs in a goroutine. Calling the function creates the
/// coroutine and runs nothing; `co_await f(x)` runs it in the caller's goroutine and gives its
/// result, or throws what it threw. `go(f, x)` runs it in a goroutine of its own.
///
/// A task cannot be moved or kept: it is awaited in the expression that makes it, so references to
/// the caller's variables are safe as arguments. Its frame comes from a pool.
template <class T = void>
class [[nodiscard("a task runs only when it is awaited: co_await it, or go() it")]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() {
    if (frame_) frame_.destroy();
  }

 private:
  friend promise_type;
  friend detail::task_awaiter<T>;
  friend struct detail::spawner;
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}
template <class T>
task_awaiter<T>::task_awaiter(goroutine* g, task<T>& t) noexcept : callee_(t.frame_) {
  callee_.promise().g = g;
}

}  // namespace detail
}  // namespace strait::inline STRAIT_ABI
