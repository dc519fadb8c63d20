// Something that is done once, by whoever comes first, while the others wait for it.
//
// A state and a queue under a spin lock; once it is done, an atomic says so and the lock is not
// touched any more. Whoever runs it and is cancelled in the middle has not done it: the waiter that
// waits longest is handed the right to try.
//
// Memory order: `done_` is stored with release after the call and read with acquire, so what the
// call wrote is seen by all who find it done.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <strait/detail/awaited.hpp>
#include <strait/detail/spawn.hpp>
#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

/// The result of a callable, which may be a coroutine.
template <class F>
using called_t = typename task_result<std::invoke_result_t<F&>>::type;

template <class F>
task<called_t<F>> call_either(F& f) {
  using R = std::invoke_result_t<F&>;
  if constexpr (task_result<R>::is_coroutine && std::is_void_v<called_t<F>>) {
    co_await behalf_of_caller(std::invoke(f));
  } else if constexpr (task_result<R>::is_coroutine) {
    auto&& v = co_await behalf_of_caller(std::invoke(f));
    co_return std::forward<decltype(v)>(v);
  } else {
    co_return std::invoke(f);
  }
}

class once_state {
 public:
  struct enter_node : waiter {
    bool runs = false;  // the goroutine is the one that does it
  };
  /// Gives whether the caller is to do it; suspends while somebody does.
  struct enter_op : wait_op<enter_op, enter_node> {
    static constexpr wait_reason reason = wait_reason::once;
    explicit enter_op(once_state& s) noexcept : state_(&s) {}
    spin_lock* queue_lock() const noexcept { return &state_->lock_; }
    bool try_locked(ready_list&) noexcept {
      if (state_->done()) return true;
      runs = !std::exchange(state_->running_, true);
      return runs;
    }
    void link_locked() noexcept { state_->waiters_.push_back(this); }
    void unlink_locked() noexcept { state_->waiters_.remove(this); }
    bool result() const noexcept { return runs; }
    const void* subject() const noexcept { return state_; }

   private:
    once_state* state_;
  };

  bool done() const noexcept { return done_.load(std::memory_order_acquire); }

  /// It is done: all who wait go on.
  void finish() {
    ready_list woken;
    lock_.lock();
    done_.store(true, std::memory_order_release);
    while (waiter* const w = pop_claimed(waiters_)) woken.push(w->g);
    lock_.unlock();
    scheduler::ready_all(woken);
  }
  /// It is not: the next one tries.
  void give_up() {
    lock_.lock();
    auto* const w = static_cast<enter_node*>(pop_claimed(waiters_));
    if (w != nullptr) {
      w->runs = true;
    } else {
      running_ = false;
    }
    lock_.unlock();
    if (w != nullptr) scheduler::ready(w->g);
  }

 private:
  spin_lock lock_;
  bool running_ = false;  // these two are guarded by `lock_`
  wait_queue waiters_;
  atomic<bool> done_{false};
};

}  // namespace detail

/// Does something at most once, for any number of goroutines. Must outlive its waiters.
class once {
 public:
  once() = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  /// `co_await o.call(f)` calls f, a function or a coroutine without parameters, unless it was
  /// called before; while another goroutine's call runs it suspends until that has ended. What f
  /// throws goes to the one that ran it, and counts as done, as in Go; only if the one that runs it
  /// is cancelled the next one tries. A call of the same `once` inside f waits for ever.
  template <class F>
  task<> call(F f) {
    if (state_.done()) co_return;
    const bool mine = co_await detail::behalf_of_caller(detail::once_state::enter_op(state_));
    if (!mine) co_return;
    try {
      co_await detail::behalf_of_caller(detail::call_either(f));
    } catch (const cancelled&) {
      state_.give_up();
      throw;
    } catch (...) {
      state_.finish();
      throw;
    }
    state_.finish();
  }
  /// Whether it has been done; never suspends.
  bool done() const noexcept { return state_.done(); }

 private:
  detail::once_state state_;
};

/// A value that is made when it is first asked for: `once_value config(load);`, then
/// `const settings& s = co_await config.get();` by any number of goroutines.
template <class F>
class once_value {
 public:
  using value_type = std::remove_cv_t<detail::called_t<F>>;

  /// Keeps f, a function or a coroutine without parameters, until it has been called.
  explicit once_value(F f) : make_(std::move(f)) {}
  once_value(const once_value&) = delete;
  once_value& operator=(const once_value&) = delete;

  /// The value; the first caller makes it, and the others suspend meanwhile. If f throws, all who
  /// ask, then and later, get that exception; only a cancellation of the one that makes it is its
  /// own, and the next one tries.
  task<const value_type&> get() {
    if (!state_.done()) {
      const bool mine = co_await detail::behalf_of_caller(detail::once_state::enter_op(state_));
      if (mine) co_await detail::behalf_of_caller(make());
    }
    if (error_) std::rethrow_exception(error_);
    co_return *value_;
  }

 private:
  task<> make() {
    try {
      auto&& v = co_await detail::behalf_of_caller(detail::call_either(*make_));
      value_.emplace(std::forward<decltype(v)>(v));
    } catch (const cancelled&) {
      state_.give_up();
      throw;
    } catch (...) {
      error_ = std::current_exception();
    }
    make_.reset();
    state_.finish();
  }

  detail::once_state state_;
  std::optional<F> make_;
  std::optional<value_type> value_;
  std::exception_ptr error_;
};

}  // namespace strait::inline STRAIT_ABI
