// Starting goroutines and joining them.
#pragma once

#include <source_location>
#include <utility>

#include <strait/detail/spawn.hpp>
#include <strait/detail/spawn_calls.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

/// The scheduler of the process, for spawns from plain threads: the one that started last.
STRAIT_SHARED inline atomic<scheduler*>& process_scheduler() noexcept {
  static atomic<scheduler*> shared{nullptr};
  return shared;
}

/// Where a spawn from here belongs.
struct spawn_place {
  scheduler* sched;
  context_state* ctx;
};
inline spawn_place here() {
  if (goroutine* const g = current_goroutine(); g != nullptr) {
    context_state* const ctx = g->has(goroutine::daemon) ? g->sched->root_context : g->ctx;
    return {g->sched, ctx};
  }
  worker* const w = this_thread().w;
  scheduler* const s = w != nullptr ? &w->sched : process_scheduler().load();
  if (s == nullptr) throw misuse("go() needs a runtime: call it inside st::run");
  return {s, s->root_context};
}

}  // namespace detail

/// The right to the result of a goroutine. `co_await handle` waits for its end, gives its result or
/// throws what it threw; throws `join_error` if it was cancelled. Dropping the handle detaches the
/// goroutine. An exception that nobody joined for ends the process, with the spawn site.
template <class T = void>
class join_handle {
 public:
  using value_type = T;

  join_handle() noexcept = default;
  explicit join_handle(detail::goroutine_of<T>* g) noexcept : target_(g) {}
  join_handle(join_handle&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  join_handle& operator=(join_handle&& other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~join_handle() { detach(); }

  /// Lets the goroutine run on its own.
  void detach() noexcept {
    detail::goroutine_of<T>* const g = std::exchange(target_, nullptr);
    if (g == nullptr) return;
    g->lock.lock();
    const bool alone = g->done;
    g->handle_gone = true;
    g->lock.unlock();
    if (alone) detail::spawner::discard(g);
  }
  /// Whether it has ended; never suspends.
  bool done() const noexcept {
    target_->lock.lock();
    const bool d = target_->done;
    target_->lock.unlock();
    return d;
  }
  explicit operator bool() const noexcept { return target_ != nullptr; }

  /// The wait, as an operation: for st::wait, and what `co_await handle` does.
  detail::join_op<T> join() const {
    if (target_ == nullptr) throw misuse("join of an empty join_handle");
    return detail::join_op<T>(target_);
  }
  detail::join_op<T> as_operation() const { return join(); }

 private:
  detail::goroutine_of<T>* target_ = nullptr;
};

namespace detail {
struct go_function : spawn_calls<go_function> {
  template <class F, class... Args>
  auto spawn(const std::source_location& where, F&& f, Args&&... args) const {
    using T = spawn_result_t<F, Args...>;
    const spawn_place at = here();
    return join_handle<T>(spawner::launch(*at.sched, at.ctx, nullptr, 0, where, std::forward<F>(f),
                                          std::forward<Args>(args)...));
  }
};
}  // namespace detail

/// `go(f, args...)` starts a goroutine that calls `f(args...)`, a coroutine or a plain function,
/// and returns its join_handle. An ordinary call: it does not suspend, and is never awaited. `f`
/// and the arguments are moved or copied into the goroutine and passed on as rvalues; pass
/// std::ref(x) to share x. The goroutine inherits the caller's context. From a plain thread it runs
/// in the runtime that was started last. Throws `misuse` if there is none, or if `f` is empty.
inline constexpr detail::go_function go{};

}  // namespace strait::inline STRAIT_ABI
