// The promise of every coroutine of strait: how a goroutine awaits, calls and returns.
//
// A goroutine is a stack of coroutine frames; every promise points to the goroutine's block, so an
// operation needs no thread-local lookup. Calls and returns are symmetric transfers, counted: after
// a few dozen in a row the worker loop takes over, because g++ makes them real calls below -O2 and
// under sanitizers, and would run out of stack.
//
// Any operation of the library is awaited through `await_transform`, which tells it the goroutine
// and notes where in the source it waits. Anything else that has an awaiter is bridged
// (foreign.hpp).
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include <strait/detail/context_state.hpp>
#include <strait/detail/goroutine.hpp>
#include <strait/detail/scheduler.hpp>

namespace strait::inline STRAIT_ABI {
template <class T>
class task;
}

namespace strait::inline STRAIT_ABI::detail {

/// Base of everything that a goroutine can wait in. Awaited where it is made, as an rvalue.
struct operation {
  goroutine* g_ = nullptr;
};

/// Where a coroutine leaves its result: in the frame of its caller, or in the goroutine's block.
template <class T>
class result_slot {
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

 public:
  result_slot() noexcept {}
  result_slot(const result_slot&) = delete;
  result_slot& operator=(const result_slot&) = delete;
  ~result_slot() {
    if (state_ == state::value) value_.~stored();
  }

  template <class U>
  void set_value(U&& v) {
    if constexpr (std::is_reference_v<T>) {
      ::new (static_cast<void*>(&value_)) stored(std::addressof(v));
    } else {
      ::new (static_cast<void*>(&value_)) stored(static_cast<stored>(std::forward<U>(v)));
    }
    state_ = state::value;
  }
  void set_error(std::exception_ptr e) noexcept {
    error_ = std::move(e);
    state_ = state::error;
  }
  bool has_value() const noexcept { return state_ == state::value; }
  const std::exception_ptr& error() const noexcept { return error_; }
  std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }

  T get() {
    if (error_) std::rethrow_exception(error_);
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else {
      return std::move(value_);
    }
  }

 private:
  enum class state : unsigned char { empty, value, error };
  union {
    stored value_;
  };
  std::exception_ptr error_;
  state state_ = state::empty;
};

template <>
class result_slot<void> {
 public:
  void set_value() noexcept { done_ = true; }
  void set_error(std::exception_ptr e) noexcept { error_ = std::move(e); }
  bool has_value() const noexcept { return done_; }
  const std::exception_ptr& error() const noexcept { return error_; }
  std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }
  void get() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
  bool done_ = false;
};

/// Transfers to `target`, by way of the worker loop when there were too many in a row.
inline std::coroutine_handle<> transfer(goroutine* g, std::coroutine_handle<> target) noexcept {
  if (++g->hops < scheduler::most_hops) return target;
  g->resume_at = target;
  g->on->bounced = g;
  return std::noop_coroutine();
}

template <class T>
concept is_operation = std::derived_from<std::remove_cvref_t<T>, operation>;

/// Types that are not operations but can be waited for: join handles, contexts, guards' makers.
template <class T>
concept makes_operation = requires(T&& t) {
  { std::forward<T>(t).as_operation() } -> is_operation;
};

/// See promise_base::await_transform.
template <class A>
struct behalf_of_caller {
  explicit behalf_of_caller(A&& a) noexcept : awaitable(static_cast<A&&>(a)) {}
  A&& awaitable;
};
template <class A>
behalf_of_caller(A&&) -> behalf_of_caller<A>;
template <class T>
struct is_on_behalf : std::false_type {};
template <class A>
struct is_on_behalf<behalf_of_caller<A>> : std::true_type {};

struct spawner;
template <class T>
struct task_awaiter;
template <class T>
struct is_task : std::false_type {};
template <class T>
struct is_task<task<T>> : std::true_type {};

template <class A>
auto bridge_foreign(goroutine* g, A&& awaitable);

/// Awaits an operation in place. (await_transform could return a reference to it, but g++ 12 makes
/// a copy of what the reference refers to.)
template <class Op>
class awaiting {
 public:
  explicit awaiting(Op& op) noexcept : op_(&op) {}
  bool await_ready() const { return op_->await_ready(); }
  auto await_suspend(std::coroutine_handle<> self) const { return op_->await_suspend(self); }
  decltype(auto) await_resume() const { return op_->await_resume(); }

 private:
  Op* op_;
};

/// Makes the operation of something that has one, and awaits it.
template <class M>
class making {
 public:
  making(goroutine* g, M&& m) : op_(std::forward<M>(m).as_operation()) { op_.g_ = g; }
  bool await_ready() { return op_.await_ready(); }
  auto await_suspend(std::coroutine_handle<> self) { return op_.await_suspend(self); }
  decltype(auto) await_resume() { return op_.await_resume(); }

 private:
  decltype(std::declval<M>().as_operation()) op_;
};

struct promise_base {
  goroutine* g = nullptr;
  std::coroutine_handle<> caller;  // null for the goroutine's first coroutine

  static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { frame_free(frame, bytes); }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  /// The coroutine returns; its variables are still there. If it is the root of a run, that is
  /// over: the others are cancelled before they can see what leaves with it.
  void returns() noexcept {
    if (!caller && g->has(goroutine::first)) [[unlikely]] {
      g->sched->root_context->cancel(nullptr);
    }
  }

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
      promise_base& p = self.promise();
      if (p.caller) return transfer(p.g, p.caller);
      p.g->on->finished = p.g;  // the worker destroys the frame and tells the joiner
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  final_awaiter final_suspend() const noexcept { return {}; }

  template <is_operation Op>
  awaiting<std::remove_reference_t<Op>> await_transform(
      Op&& op, std::source_location where = std::source_location::current()) noexcept {
    static_assert(
        !std::is_lvalue_reference_v<Op>,
        "strait: await an operation where it is made: co_await ch.recv(), not a named one");
    op.g_ = g;
    if constexpr (!requires { typename std::remove_reference_t<Op>::never_waits; }) g->at(where);
    return awaiting<std::remove_reference_t<Op>>(op);
  }

  template <makes_operation M>
  making<M> await_transform(M&& m, std::source_location where = std::source_location::current()) {
    g->at(where);
    return making<M>(g, std::forward<M>(m));
  }

  template <class T>
  task_awaiter<T> await_transform(
      task<T>&& t, std::source_location where = std::source_location::current()) noexcept {
    g->at(where);
    return task_awaiter<T>(g, t);
  }

  /// An awaitable that the library waits for on its caller's behalf: the place is the caller's.
  template <class A>
  auto await_transform(behalf_of_caller<A>&& a) {
#if STRAIT_DIAGNOSTICS
    return await_transform(std::forward<A>(a.awaitable),
                           __builtin_bit_cast(std::source_location, g->waits_at.load()));
#else
    return await_transform(std::forward<A>(a.awaitable));
#endif
  }
  template <class T>
  std::suspend_never await_transform(task<T>&) {
    static_assert(sizeof(task<T>) == 0,
                  "strait: await a task where it is made: co_await f(x), not a named one; to start "
                  "it now and wait for it later: auto h = go(f, x); co_await h");
    return {};
  }

  template <class A>
    requires(!is_operation<A> && !makes_operation<A> && !is_task<std::remove_cvref_t<A>>::value &&
             !is_on_behalf<std::remove_cvref_t<A>>::value)
  auto await_transform(A&& awaitable,
                       std::source_location where = std::source_location::current()) {
    g->at(where);
    return bridge_foreign(g, std::forward<A>(awaitable));
  }
};

template <class T>
struct task_promise : promise_base {
  result_slot<T>* out = nullptr;

  task<T> get_return_object() noexcept;
  template <class U = T>
    requires std::is_constructible_v<T, U&&> || std::is_reference_v<T>
  void return_value(U&& v) {
    out->set_value(std::forward<U>(v));
    returns();
  }
  void unhandled_exception() noexcept { out->set_error(std::current_exception()); }
};

template <>
struct task_promise<void> : promise_base {
  result_slot<void>* out = nullptr;

  task<void> get_return_object() noexcept;
  void return_void() noexcept {
    out->set_value();
    returns();
  }
  void unhandled_exception() noexcept { out->set_error(std::current_exception()); }
};

/// The call of one coroutine by another, in the same goroutine.
template <class T>
struct task_awaiter {
  task_awaiter(goroutine* g, task<T>& t) noexcept;
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
    callee_.promise().caller = caller;
    callee_.promise().out = &result_;
    return transfer(callee_.promise().g, callee_);
  }
  T await_resume() { return result_.get(); }

 private:
  std::coroutine_handle<task_promise<T>> callee_;
  result_slot<T> result_;
};

}  // namespace strait::inline STRAIT_ABI::detail
