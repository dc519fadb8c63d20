// Awaiting something under other terms: a deadline, another context, a value, shielded.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <strait/context.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

/// The running goroutine's stay in another context.
class context_stay {
 public:
  context_stay(goroutine* g, context_state* into) noexcept : g_(g), before_(g->ctx), in_(into) {
    before_->retain();
    context_state::move(g, into);
  }
  context_stay(const context_stay&) = delete;
  context_stay& operator=(const context_stay&) = delete;
  ~context_stay() {
    context_state::move(g_, before_);
    context_state::release(before_);
  }
  /// Whether a `cancelled` that comes out of here is this context's doing, not the outer one's.
  bool own_cancellation() const noexcept { return in_->is_cancelled() && !before_->is_cancelled(); }

 private:
  goroutine* const g_;
  context_state* const before_;
  context_state* const in_;
};

struct context_ref {
  explicit context_ref(context_state* c) noexcept : c_(c) {}
  context_ref(const context_ref&) = delete;
  context_ref& operator=(const context_ref&) = delete;
  ~context_ref() { context_state::release(c_); }
  context_state* operator->() const noexcept { return c_; }
  context_state* get() const noexcept { return c_; }

 private:
  context_state* c_;
};

template <class Op>
task<awaited_t<Op>> run_until(nanos when, Op&& op) {
  goroutine* const g = co_await this_goroutine();
  context_ref ctx(new context_state(g->ctx, g->sched));
  context_stay stay(g, ctx.get());
  if (when <= g->sched->now()) {
    ctx->deadline = std::min(ctx->deadline, when);
    ctx->cancel(std::make_exception_ptr(deadline_exceeded()));
  } else {
    ctx->arm(when);
  }
  try {
    if constexpr (std::is_void_v<awaited_t<Op>>) {
      co_await detail::behalf_of_caller(std::forward<Op>(op));
      co_return;
    } else {
      auto&& v = co_await detail::behalf_of_caller(std::forward<Op>(op));
      co_return std::forward<decltype(v)>(v);
    }
  } catch (const cancelled&) {
    if (!stay.own_cancellation()) throw;
  }
  throw timed_out();
}

}  // namespace detail

/// Awaits `op` (an operation or a task), for at most `d`. If the time is over first, what it waits
/// in is cancelled, having taken nothing, and `timed_out` is thrown. Goroutines started inside
/// inherit the deadline.
template <class Rep, class Period, class Op>
task<detail::awaited_t<Op>> with_timeout(std::chrono::duration<Rep, Period> d, Op&& op) {
  detail::goroutine* const g = co_await detail::this_goroutine();
  const detail::nanos when =
      detail::after_now(g->sched->now(), std::chrono::ceil<std::chrono::nanoseconds>(d));
  if constexpr (std::is_void_v<detail::awaited_t<Op>>) {
    co_await detail::behalf_of_caller(detail::run_until(when, std::forward<Op>(op)));
  } else {
    auto&& v = co_await detail::behalf_of_caller(detail::run_until(when, std::forward<Op>(op)));
    co_return std::forward<decltype(v)>(v);
  }
}

/// Awaits `op` until `when` at most; see with_timeout.
template <class Op>
task<detail::awaited_t<Op>> with_deadline(clock::time_point when, Op&& op) {
  return detail::run_until(detail::to_nanos(when), std::forward<Op>(op));
}

/// Awaits `op` as a member of another context: of a cancel_source, typically. Throws `cancelled` if
/// that context is cancelled.
template <class Op>
task<detail::awaited_t<Op>> with_context(const cancel_source& source, Op&& op) {
  detail::goroutine* const g = co_await detail::this_goroutine();
  const context held = source.context();
  detail::context_ref ctx(new detail::context_state(detail::state_of(held), g->sched));
  detail::context_stay stay(g, ctx.get());
  if constexpr (std::is_void_v<detail::awaited_t<Op>>) {
    co_await detail::behalf_of_caller(std::forward<Op>(op));
  } else {
    auto&& v = co_await detail::behalf_of_caller(std::forward<Op>(op));
    co_return std::forward<decltype(v)>(v);
  }
}

/// Awaits `op` with a value that `context::get(key)` finds, in all that is called or started
/// inside.
template <class T, class Op>
task<detail::awaited_t<Op>> with_value(const context_key<T>& key, T value, Op&& op) {
  detail::goroutine* const g = co_await detail::this_goroutine();
  detail::context_ref ctx(new detail::context_state(g->ctx, g->sched));
  ctx->key = &key;
  ctx->value = std::make_shared<const T>(std::move(value));
  detail::context_stay stay(g, ctx.get());
  if constexpr (std::is_void_v<detail::awaited_t<Op>>) {
    co_await detail::behalf_of_caller(std::forward<Op>(op));
  } else {
    auto&& v = co_await detail::behalf_of_caller(std::forward<Op>(op));
    co_return std::forward<decltype(v)>(v);
  }
}

/// Awaits `op` even if the goroutine is cancelled: for clean-up. What it calls and starts inside
/// runs in a context of its own, which has the values of the current one but neither its
/// cancellation nor its deadline; so a timeout inside counts. The cancellation shows at the next
/// wait outside.
template <class Op>
task<detail::awaited_t<Op>> shield(Op&& op) {
  detail::goroutine* const g = co_await detail::this_goroutine();
  detail::context_ref ctx(new detail::context_state(g->ctx, g->sched, true));
  detail::context_stay stay(g, ctx.get());
  if constexpr (std::is_void_v<detail::awaited_t<Op>>) {
    co_await detail::behalf_of_caller(std::forward<Op>(op));
  } else {
    auto&& v = co_await detail::behalf_of_caller(std::forward<Op>(op));
    co_return std::forward<decltype(v)>(v);
  }
}

}  // namespace strait::inline STRAIT_ABI
