// Awaiting what is not ours: any standard awaitable, resumed by whoever it pleases.
//
// A bridge coroutine awaits it, and its completion, on any thread, claims the goroutine and makes
// it ready: a goroutine only ever runs on a worker. The wait cannot be cancelled (the awaitable
// knows nothing of it) and counts as something outside that will come back.
#pragma once

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include <strait/detail/promise.hpp>
#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI::detail {

template <class A>
decltype(auto) awaiter_of(A&& a) {
  if constexpr (requires { std::forward<A>(a).operator co_await(); }) {
    return std::forward<A>(a).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(a)); }) {
    return operator co_await(std::forward<A>(a));
  } else {
    return std::forward<A>(a);
  }
}

template <class A>
using foreign_result_t =
    decltype(std::declval<std::remove_reference_t<decltype(awaiter_of(std::declval<A>()))>&>()
                 .await_resume());

template <class A>
class foreign_awaiter {
  using value = foreign_result_t<A&&>;

  struct bridge {
    struct promise_type {
      bridge get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() const noexcept { return {}; }
      std::suspend_never final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
    };
  };

  static bridge run(foreign_awaiter* self) {
    try {
      if constexpr (std::is_void_v<value>) {
        co_await std::forward<A>(self->awaitable_);
        self->result_.set_value();
      } else {
        self->result_.set_value(co_await std::forward<A>(self->awaitable_));
      }
    } catch (...) {
      self->result_.set_error(std::current_exception());
    }
    goroutine* const g = self->node_.g;
    if (g->claim(&self->node_)) scheduler::ready(g);  // self may be gone now, and the runtime
  }

 public:
  foreign_awaiter(goroutine* g, A&& a) noexcept : awaitable_(std::forward<A>(a)) { node_.g = g; }
  foreign_awaiter(const foreign_awaiter&) = delete;
  foreign_awaiter& operator=(const foreign_awaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  STRAIT_NOINLINE void await_suspend(std::coroutine_handle<> self) {
    goroutine* const g = node_.g;
    g->resume_at = self;
    g->note(wait_reason::foreign, nullptr);
    g->sched->outside_begins();
    ++g->shields;
    g->begin_wait();
    --g->shields;
    run(this);
  }
  value await_resume() {
    node_.g->note(wait_reason::none, nullptr);
    node_.g->sched->outside_ends();
    return result_.get();
  }

 private:
  A&& awaitable_;
  waiter node_;
  result_slot<value> result_;
};

template <class A>
concept has_awaiter = requires(A&& a) { awaiter_of(std::forward<A>(a)).await_ready(); };

template <class A>
auto bridge_foreign(goroutine* g, A&& awaitable) {
  static_assert(has_awaiter<A>,
                "strait: co_await takes an operation (ch.recv(), st::sleep(d), ...), a call of a "
                "coroutine that returns task<T>, a join_handle, or any standard awaitable");
  return foreign_awaiter<A>(g, std::forward<A>(awaitable));
}

}  // namespace strait::inline STRAIT_ABI::detail
