// Contexts: cancellation, deadlines and values that a goroutine's children inherit.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <strait/detail/awaited.hpp>
#include <strait/detail/clock.hpp>
#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI {

class context;

namespace detail {

struct context_done_op : wait_op<context_done_op> {
  static constexpr wait_reason reason = wait_reason::context;
  explicit context_done_op(context_state* c) noexcept : ctx_(c) {}
  spin_lock* queue_lock() const noexcept { return &ctx_->lock; }
  bool try_locked(ready_list&) const noexcept { return ctx_->is_cancelled(); }
  void link_locked() noexcept { ctx_->done_waiters.push_back(this); }
  void unlink_locked() noexcept { ctx_->done_waiters.remove(this); }
  void result() const noexcept {}
  const void* subject() const noexcept { return ctx_; }

 private:
  context_state* ctx_;
};

}  // namespace detail

namespace detail {
context_state* state_of(const context& c) noexcept;
}

/// A typed key of a context value; compared by address, so make it `inline constexpr` or static.
template <class T>
struct context_key {
  context_key() = default;
  context_key(const context_key&) = delete;
  context_key& operator=(const context_key&) = delete;

 private:
  char identity_ = 0;
};

/// A handle on a context. Every goroutine has one, inherited by what it starts; cancelling it ends
/// the waits of all its members, of all contexts made from it, and of those they start later.
class context {
 public:
  /// The running goroutine's context. Throws `misuse` outside of a goroutine.
  static context current() {
    detail::goroutine* const g = detail::current_goroutine();
    if (g == nullptr) throw misuse("context::current() needs a goroutine");
    return context(g->ctx);
  }

  context(const context& other) noexcept : state_(other.state_) { state_->retain(); }
  context(context&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  context& operator=(context other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~context() { detail::context_state::release(state_); }

  bool is_cancelled() const noexcept { return state_->is_cancelled(); }
  /// Why it was cancelled; null while it was not, or if no reason was given.
  std::exception_ptr cause() const { return state_->cause(); }
  /// When it will be cancelled; empty if there is no deadline.
  std::optional<clock::time_point> deadline() const noexcept {
    if (state_->deadline == detail::never) return std::nullopt;
    return detail::to_time(state_->deadline);
  }
  /// The value that the nearest context gave for this key; null if none did.
  template <class T>
  const T* get(const context_key<T>& key) const noexcept {
    for (detail::context_state* c = state_; c != nullptr; c = c->values_from) {
      if (c->key == &key) return static_cast<const T*>(c->value.get());
    }
    return nullptr;
  }
  /// Waits until it is cancelled; also a case of select.
  detail::context_done_op done() const noexcept { return detail::context_done_op(state_); }

  /// A stop_token that is stopped when this context is cancelled.
  std::stop_token stop_token() const {
    auto source = std::make_shared<std::stop_source>();
    on_cancel([source] { source->request_stop(); });
    return source->get_token();
  }
  /// Calls `f` once, on the canceller's thread, when the context is cancelled; now if it is.
  void on_cancel(std::function<void()> f) const {
    state_->lock.lock();
    if (!state_->is_cancelled()) {
      state_->callbacks.push_back(std::move(f));
      f = nullptr;
    }
    state_->lock.unlock();
    if (f) f();
  }

 private:
  friend class cancel_source;
  friend detail::context_state* detail::state_of(const context& c) noexcept;
  friend class group;
  explicit context(detail::context_state* c) noexcept : state_(c) { state_->retain(); }
  detail::context_state* state_;
};

namespace detail {
inline context_state* state_of(const context& c) noexcept { return c.state_; }
}  // namespace detail

/// A context that can be cancelled by hand: give it to `with_context`. Made from the current
/// goroutine's context. Destroying the source cancels it.
class cancel_source {
 public:
  cancel_source() : source_(derive()) {}
  /// Cancelled also when `token` is stopped.
  explicit cancel_source(std::stop_token token) : source_(derive()) {
    stop_.emplace(std::move(token), [this] { cancel(); });
  }
  cancel_source(const cancel_source&) = delete;
  cancel_source& operator=(const cancel_source&) = delete;
  ~cancel_source() {
    stop_.reset();
    cancel();
  }

  /// Ends the waits of all that run under it; false if it was cancelled before.
  bool cancel(std::exception_ptr why = nullptr) { return source_.state_->cancel(std::move(why)); }
  const strait::context& context() const noexcept { return source_; }

 private:
  static strait::context derive() {
    const strait::context parent = strait::context::current();
    auto* const fresh = new detail::context_state(parent.state_, parent.state_->sched);
    strait::context c(fresh);
    detail::context_state::release(fresh);  // the handle holds it now
    return c;
  }
  strait::context source_;
  std::optional<std::stop_callback<std::function<void()>>> stop_;
};

}  // namespace strait::inline STRAIT_ABI
