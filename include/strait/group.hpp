// Structured concurrency: goroutines that end before the block that started them.
#pragma once

#include <cstdio>
#include <exception>
#include <memory>
#include <source_location>
#include <utility>

#include <strait/go.hpp>
#include <strait/with.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

/// What a group's members and its joiner share. The first failure cancels the group's context.
struct group_state final : group_core {
  explicit group_state(spawn_place at)
      : group_core(true), ctx(new context_state(at.ctx, at.sched)) {}
  ~group_state() override { context_state::release(ctx); }

  void member_ended(goroutine::place, std::exception_ptr&& e) noexcept override {
    if (e && !is_cancellation(e)) fail(e);
    e = nullptr;
    goroutine* woken = nullptr;
    lock.lock();
    if (--live == 0) {
      if (waiter* const w = pop_claimed(joiners)) woken = w->g;
    }
    lock.unlock();  // the group may be gone now
    if (woken != nullptr) scheduler::ready(woken);
  }

  void fail(const std::exception_ptr& e) {
    lock.lock();
    const bool first = !error;
    if (first) error = e;
    lock.unlock();
    if (first) ctx->cancel(e);
  }

  context_state* const ctx;
  spin_lock lock;
  std::size_t live = 0;
  std::exception_ptr error;
  wait_queue joiners;
};

struct group_join_op : wait_op<group_join_op> {
  static constexpr wait_reason reason = wait_reason::group;
  explicit group_join_op(group_state& s) noexcept : state_(&s) {}
  spin_lock* queue_lock() const noexcept { return &state_->lock; }
  bool try_locked(ready_list&) const noexcept { return state_->live == 0; }
  void link_locked() noexcept { state_->joiners.push_back(this); }
  void unlink_locked() noexcept { state_->joiners.remove(this); }
  void result() const noexcept {}
  const void* subject() const noexcept { return state_; }

 private:
  group_state* state_;
};

struct group_go : spawn_calls<group_go> {
  explicit group_go(group_state& s) noexcept : state(&s) {}
  group_go(const group_go&) = delete;
  group_go& operator=(const group_go&) = delete;

  template <class F, class... Args>
  auto spawn(const std::source_location& where, F&& f, Args&&... args) const {
    using T = spawn_result_t<F, Args...>;
    count(1);
    try {
      return join_handle<T>(spawner::launch(*state->ctx->sched, state->ctx, state, 0, where,
                                            std::forward<F>(f), std::forward<Args>(args)...));
    } catch (...) {
      count(-1);
      throw;
    }
  }

 private:
  void count(int n) const noexcept {
    state->lock.lock();
    state->live += static_cast<std::size_t>(n);
    state->lock.unlock();
  }
  group_state* state;
};

}  // namespace detail

/// Goroutines that are joined together. The first that fails cancels the rest. Prefer `scope`,
/// which joins by itself: a group that is destroyed while a member lives terminates the program and
/// names the members' spawn sites, as std::thread does.
class group {
  detail::group_state state_;

 public:
  group() : state_(detail::here()), go(state_) {}
  group(const group&) = delete;
  group& operator=(const group&) = delete;
  ~group() {
    if (const std::size_t live = size(); live != 0) die(live);
  }

  /// `g.go(f, args...)` starts a member, as st::go does, in the group's own context. The handle may
  /// be dropped: the group joins.
  const detail::group_go go;

  /// Waits until all members have ended, then rethrows the first failure. It cannot be cancelled
  /// itself: a cancelled parent has cancelled the members, and still waits for their end.
  task<> join() {
    {
      const detail::shielded hold(co_await detail::this_goroutine());
      co_await detail::behalf_of_caller(detail::group_join_op(state_));
    }
    if (state_.error) std::rethrow_exception(std::exchange(state_.error, nullptr));
  }
  /// Cancels all members, now and to come.
  void cancel(std::exception_ptr why = nullptr) { state_.ctx->cancel(std::move(why)); }
  /// The number of members that have not ended.
  std::size_t size() noexcept {
    state_.lock.lock();
    const std::size_t n = state_.live;
    state_.lock.unlock();
    return n;
  }
  strait::context context() const noexcept { return strait::context(state_.ctx); }

 private:
  template <class F>
  friend task<> scope(F body);

  [[noreturn]] void die(std::size_t live) noexcept {
    std::fprintf(stderr, "strait: a group was destroyed with %zu live members, spawned at:\n",
                 live);
    for (detail::goroutine* g = state_.ctx->members; g != nullptr; g = g->member_next) {
      if (g->has(detail::goroutine::in_group) && detail::group_of(g) == &state_) {
        std::fprintf(stderr, "  %s\n", detail::spawn_site(g).c_str());
      }
    }
    std::terminate();
  }
};

/// Runs `body(g)`, a coroutine that may start goroutines with g.go(...), and ends only after all of
/// them have. The first exception, of the body or of a member, cancels the others and is rethrown
/// here; members inherit this goroutine's context, so cancelling it cancels them.
template <class F>
task<> scope(F body) {
  detail::goroutine* const self = co_await detail::this_goroutine();
  const detail::goroutine::place here = self->waits_where();
  group g;
  try {
    detail::context_stay stay(self, g.state_.ctx);
    co_await body(g);
  } catch (const cancelled&) {
    // By a member's failure, which join rethrows; by g.cancel(), which is a way to end; or from
    // outside, which is said again below.
    g.cancel();
  } catch (...) {
    g.state_.fail(std::current_exception());
  }
  self->waits_where(here);
  co_await detail::behalf_of_caller(g.join());
  if (self->cancel_pending()) detail::throw_cancelled(self);
}

}  // namespace strait::inline STRAIT_ABI
