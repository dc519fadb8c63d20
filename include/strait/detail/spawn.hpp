// How a goroutine begins and ends.
//
// The callable and its arguments live as long as the goroutine: in the coroutine's own frame, or in
// a block beside it (callable.hpp tells which). Arguments are passed on as rvalues, so a chan<T>
// that becomes a receiver<T> leaves no third handle behind.
//
// The end: the result is in the goroutine's block, the frame and the callable are destroyed (which
// closes channels whose last sender they held), and only then the joiner and the group hear of it.
// Nothing here refers to the goroutine's exception any more by then: whoever hears of it has the
// last word on it. (It is counted inside the C++ runtime library, where a thread sanitizer sees no
// order between one who reads it and another who drops it.)
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <strait/detail/callable.hpp>
#include <strait/detail/wait_op.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// The members of a group (group.hpp) hear of each end; called on the worker that ran it.
struct group_core {
  explicit group_core(bool takes) noexcept : takes_errors(takes) {}
  virtual ~group_core() = default;
  virtual void member_ended(goroutine::place spawned, std::exception_ptr&& error) noexcept = 0;
  /// A member's error is the group's business. Else it is its joiner's alone.
  const bool takes_errors;
};

template <class T>
struct goroutine_of : goroutine {
  // Large results are kept on the heap: the registry walk needs blocks from the pool.
  static constexpr bool boxed = sizeof(result_slot<T>) > 512;
  using holder = std::conditional_t<boxed, std::unique_ptr<result_slot<T>>, result_slot<T>>;

  goroutine_of() {
    if constexpr (boxed) held_ = std::make_unique<result_slot<T>>();
  }
  result_slot<T>& result() noexcept {
    if constexpr (boxed) {
      return *held_;
    } else {
      return held_;
    }
  }
  group_core* group = nullptr;

  static const goroutine_type& type_of() noexcept {
    static constexpr goroutine_type type = {
        [](goroutine* g) noexcept {
          auto* const self = static_cast<goroutine_of*>(g);
          self->~goroutine_of();
          pool_free(self, sizeof(goroutine_of));
        },
        [](const goroutine* g) noexcept {
          return const_cast<goroutine_of*>(static_cast<const goroutine_of*>(g))->result().error();
        },
        [](goroutine* g) noexcept { return static_cast<goroutine_of*>(g)->result().take_error(); }};
    return type;
  }

 private:
  holder held_;
};

/// The group of a goroutine that has one; stored behind the block's type-independent part.
inline group_core*& group_of(goroutine* g) noexcept {
  return static_cast<goroutine_of<void>*>(g)->group;
}

inline bool is_cancellation(const std::exception_ptr& e) noexcept {
  if (!e) return false;
  try {
    std::rethrow_exception(e);
  } catch (const cancelled&) {
    return true;
  } catch (...) {
    return false;
  }
}

inline std::string message_of(const std::exception_ptr& e) {
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  } catch (const cancelled&) {
    return "cancelled";
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

inline std::string spawn_site([[maybe_unused]] goroutine::place spawned) {
#if STRAIT_DIAGNOSTICS
  const auto at = __builtin_bit_cast(std::source_location, spawned);
  return std::string(at.file_name()) + ":" + std::to_string(at.line());
#else
  return "(built without diagnostics)";
#endif
}
inline std::string spawn_site(const goroutine* g) { return spawn_site(g->spawned_where()); }

/// An exception that nobody can receive ends the process, as a panic does in Go.
[[noreturn]] inline void die_of(goroutine::place spawned, const std::exception_ptr& e) noexcept {
  std::fprintf(stderr, "strait: unhandled exception in the goroutine spawned at %s: %s\n",
               spawn_site(spawned).c_str(), message_of(e).c_str());
  std::terminate();
}

template <class F, class Arguments>
struct closure;
template <class F, class... Args>
struct closure<F, types<Args...>> final : closure_base {
  template <class G, class... As>
  explicit closure(G&& g, As&&... as)
      : closure_base{[](closure_base* c) noexcept { destroy_self(static_cast<closure*>(c)); }},
        callable(std::forward<G>(g)),
        arguments(std::forward<As>(as)...) {}

  decltype(auto) call() {
    return std::apply(
        [this](Args&... a) -> decltype(auto) { return std::invoke(callable, std::move(a)...); },
        arguments);
  }
  static void* operator new(std::size_t n) { return frame_allocate(n); }
  static void operator delete(void* p, std::size_t n) noexcept { frame_free(p, n); }

  F callable;
  std::tuple<Args...> arguments;

 private:
  static void destroy_self(closure* c) noexcept { delete c; }
};

template <class R>
struct task_result {
  using type = R;
  static constexpr bool is_coroutine = false;
};
template <class T>
struct task_result<task<T>> {
  using type = T;
  static constexpr bool is_coroutine = true;
};

/// void, too, where f cannot be called so: `launch` says it better.
template <bool Callable, class F, class... Args>
struct spawn_result {
  using type = void;
};
template <class F, class... Args>
struct spawn_result<true, F, Args...> : task_result<std::invoke_result_t<F, Args...>> {};
template <class F, class... Args>
using spawn_result_t =
    typename spawn_result<std::is_invocable_v<std::decay_t<F>&, std::decay_t<Args>&&...>,
                          std::decay_t<F>&, std::decay_t<Args>&&...>::type;

/// A plain function as a goroutine.
template <class T, class C>
task<T> call_plain(C* c) {
  co_return c->call();
}
template <class C>
task<void> call_plain_void(C* c) {
  c->call();
  co_return;
}

struct spawner {
  template <class F, class... Args>
  static auto* launch(scheduler& s, context_state* ctx, group_core* group, std::uint8_t flags,
                      const std::source_location& where, F&& f, Args&&... args) {
    using callable = std::decay_t<F>;
    static_assert(std::is_invocable_v<callable&, std::decay_t<Args>&&...>,
                  "strait: go(f, args...): f cannot be called with these arguments as rvalues; "
                  "pass std::ref(x) for a parameter that is a non-const reference");
    using invoked = task_result<std::invoke_result_t<callable&, std::decay_t<Args>&&...>>;
    using T = typename invoked::type;
    // A function itself is never null, and g++ warns of asking.
    constexpr bool is_function = std::is_function_v<std::remove_reference_t<F>>;
    if constexpr (!is_function && requires { f == nullptr; }) {
      if (f == nullptr) throw misuse("go of an empty function");
    }

    void* const block = pool_allocate(pool_kind::goroutines, sizeof(goroutine_of<T>));
    auto* const g = ::new (block) goroutine_of<T>;
    g->flags = static_cast<std::uint8_t>(flags | (group != nullptr ? goroutine::in_group : 0));
    g->group = group;
    g->type = &goroutine_of<T>::type_of();
    g->sched = &s;
    g->spawned(where);

    try {
      using keeping = keeping_of<F, Args...>;
      if constexpr (invoked::is_coroutine && keeping::in_frame) {
        begin(g, std::invoke(f, std::forward<Args>(args)...));
      } else {
        using kept = closure<callable, typename keeping::list>;
        auto* const c = new kept(std::forward<F>(f), std::forward<Args>(args)...);
        g->closure = c;
        if constexpr (invoked::is_coroutine) {
          begin(g, c->call());
        } else if constexpr (std::is_void_v<T>) {
          begin(g, call_plain_void(c));
        } else {
          begin(g, call_plain<T>(c));
        }
      }
    } catch (...) {
      if (g->closure != nullptr) g->closure->destroy(g->closure);
      goroutine_of<T>::type_of().drop(g);
      throw;
    }
    g->born(s.number(), ctx->is_root);
    ctx->retain();
    ctx->enter(g);
    s.count_spawn(g);
    scheduler::ready(g);
    return g;
  }

  /// on_ended of every scheduler: the goroutine's coroutine is at its end.
  static void ended(scheduler&, goroutine* g) {
    g->root.destroy();
    if (g->closure != nullptr) g->closure->destroy(g->closure);
    context_state* const ctx = g->ctx;
    ctx->leave(g);
    g->park.store(0, std::memory_order_release);
    group_core* const group = g->has(goroutine::in_group) ? group_of(g) : nullptr;
    const bool taken = group != nullptr && group->takes_errors;
    const goroutine::place spawned = g->spawned_where();
    if (taken) g->observed = true;
    std::exception_ptr error;
    goroutine* woken = nullptr;
    g->lock.lock();
    g->done = true;
    if (g->joiner != nullptr && g->joiner->g->claim(g->joiner)) woken = g->joiner->g;
    const bool alone = g->handle_gone;
    if (taken && !alone) error = g->type->error(g);
    g->lock.unlock();  // unless it is alone the block may be gone now
    if (alone) {
      if (taken) error = g->type->take_error(g);
      discard(g);
    }
    context_state::release(ctx);  // its cause may be that exception
    if (group != nullptr) group->member_ended(spawned, std::move(error));  // which may be gone now
    if (woken != nullptr) scheduler::ready(woken);
  }

  /// The block's last user: its handle, or the end if there is none.
  static void discard(goroutine* g) noexcept {
    if (!g->observed) {
      const std::exception_ptr e = g->type->error(g);
      if (e && !is_cancellation(e)) die_of(g->spawned_where(), e);
    }
    g->type->drop(g);
  }

 private:
  template <class T>
  static void begin(goroutine_of<T>* g, task<T>&& t) noexcept {
    auto frame = std::exchange(t.frame_, nullptr);
    frame.promise().g = g;
    frame.promise().out = &g->result();
    g->root = frame;
    g->resume_at = frame;
  }
};

/// Waits for the end of a goroutine and takes its result.
template <class T>
struct join_op : wait_op<join_op<T>> {
  static constexpr wait_reason reason = wait_reason::join;

  explicit join_op(goroutine_of<T>* target) noexcept : target_(target) {}
  spin_lock* queue_lock() const noexcept { return &target_->lock; }
  bool try_locked(ready_list&) const noexcept { return target_->done; }
  void link_locked() noexcept {
    this->queued = true;
    target_->joiner = this;
  }
  void unlink_locked() noexcept {
    if (target_->joiner == this) target_->joiner = nullptr;
  }
  T result() {
    target_->observed = true;
    const std::exception_ptr error = target_->result().error();
    if (error && is_cancellation(error)) {
      throw join_error("strait: join of a cancelled goroutine, spawned at " + spawn_site(target_));
    }
    return target_->result().get();
  }
  const void* subject() const noexcept { return target_; }

 private:
  goroutine_of<T>* target_;
};

}  // namespace strait::inline STRAIT_ABI::detail
