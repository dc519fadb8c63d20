// The runtime: workers that run goroutines, from `run` until its root has ended.
#pragma once

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include <strait/detail/clock.hpp>
#include <strait/detail/cpu_count.hpp>
#include <strait/detail/dump.hpp>
#include <strait/detail/foreign.hpp>
#include <strait/detail/futex_poller.hpp>
#include <strait/detail/spawn.hpp>
#include <strait/go.hpp>

namespace strait::inline STRAIT_ABI {

/// How a runtime is set up. `runtime_options().workers(4)`.
class runtime_options {
 public:
  runtime_options() = default;
  /// Threads that run goroutines; the thread that calls `run` is one of them. Default: the CPUs
  /// that this process may use, cgroup limits included.
  runtime_options& workers(unsigned n) noexcept {
    workers_ = n;
    return *this;
  }
  /// How long `run` waits at its end for what was sent to other machines to be accepted there.
  runtime_options& linger(std::chrono::nanoseconds d) noexcept {
    linger_ = d;
    return *this;
  }
  unsigned workers() const { return workers_ != 0 ? workers_ : detail::usable_cpus(); }
  std::chrono::nanoseconds linger() const noexcept { return linger_; }

 private:
  unsigned workers_ = 0;
  std::chrono::nanoseconds linger_ = std::chrono::seconds(5);
};

/// What was sent to another machine, and not accepted there before the linger time was over.
class unsent : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// One `run`: the scheduler, its root context, and the order in which things end.
class runtime_run {
 public:
  runtime_run(std::uint32_t workers, simulation* sim)
      : sched_(workers, std::make_shared<futex_poller>(), sim),
        root_(nullptr, &sched_),
        services_(nullptr, &sched_) {
    root_.is_root = services_.is_root = true;
    sched_.root_context = &root_;
    sched_.service_context = &services_;
    sched_.on_ended = [](scheduler& s, goroutine* g) { spawner::ended(s, g); };
    sched_.on_deadlock = [](scheduler& s) { report_deadlock(s); };
    sched_.on_quiet = [this] { sched_.nudge(); };
    sched_.owner = this;
    chain& all = chain::all();
    std::lock_guard hold(all.lock);
    older_ = all.newest;
    if (older_ != nullptr) older_->newer_ = this;
    all.newest = this;
    process_scheduler().store(&sched_);
  }
  runtime_run(const runtime_run&) = delete;
  runtime_run& operator=(const runtime_run&) = delete;
  ~runtime_run() {
    chain& all = chain::all();
    std::lock_guard hold(all.lock);
    (newer_ != nullptr ? newer_->older_ : all.newest) = older_;
    if (older_ != nullptr) older_->newer_ = newer_;
    process_scheduler().store(all.newest != nullptr ? &all.newest->sched_ : nullptr);
  }

  scheduler& sched() noexcept { return sched_; }

  template <class F, class... Args>
  auto operator()(std::chrono::nanoseconds linger, const std::source_location& where, F&& f,
                  Args&&... args) {
    using T = spawn_result_t<F, Args...>;
    goroutine_of<T>* const root = spawner::launch(sched_, &root_, nullptr, goroutine::first, where,
                                                  std::forward<F>(f), std::forward<Args>(args)...);
    join_handle<T> handle(root);
    sched_.run_until([&] { return sched_.first_ended.load(std::memory_order_acquire); });
    sched_.draining.store(true, std::memory_order_seq_cst);
    // When the root returned it was cancelled, but not if it threw.
    if (!root_.cancel(nullptr)) root_.cancel_missed();
    sched_.run_until([&] { return sched_.live() == 0; });
    const std::string left = wind_up(linger);
    sched_.stop_workers();
    root->observed = true;
    if (deadlock_report_) throw deadlock(*deadlock_report_);
    if (root->result().error()) root->result().get();  // throws
    if (!left.empty())
      throw unsent("strait: not accepted before the linger time was over:\n" + left);
    return root->result().get();
  }

 private:
  /// All runs of the process: they need not end in the order in which they began.
  struct chain {
    std::mutex lock;
    runtime_run* newest = nullptr;
    STRAIT_SHARED static chain& all() noexcept {
      static chain shared;
      return shared;
    }
  };

  std::string wind_up(std::chrono::nanoseconds linger) {
    std::string left;
    const nanos until = after_now(sched_.now(), linger);
    for (;;) {
      std::vector<std::shared_ptr<service>> all;
      {
        std::lock_guard hold(sched_.services_lock);
        all.swap(sched_.services);
      }
      if (all.empty()) return left;
      for (auto& s : all) {  // all drain before one stops: they may be each other's peers
        while (!s->drained() && sched_.now() < until) {
          // Wakes at least every 20 ms to look at the time.
          const nanos look = std::min(until, sched_.now() + 20'000'000);
          sched_.run_until_or(look, [&] { return s->drained(); });
        }
      }
      for (auto& s : all) {
        const std::string lines = (s->drained() ? std::string() : s->abandon()) + s->lost();
        std::fputs(lines.c_str(), stderr);
        left += lines;
      }
      for (auto& s : all) s->stop();
      sched_.run_until([&] { return sched_.live_services() == 0; });
    }
  }

  static void report_deadlock(scheduler& s) {
    auto& self = *static_cast<runtime_run*>(s.owner);
    if (self.root_.is_cancelled() && self.root_.cancel_missed()) return;
    std::lock_guard hold(self.report_lock_);
    std::ostringstream text;
    text << "strait: deadlock: every goroutine waits, and nothing can end any of the waits\n";
    dump_goroutines(text, s.number());
    std::fputs(text.str().c_str(), stderr);
    if (self.deadlock_report_) {
      std::fputs("strait: the waits above are shielded from cancellation: giving up\n", stderr);
      std::terminate();
    }
    self.deadlock_report_ = text.str();
    self.root_.cancel(std::make_exception_ptr(deadlock(text.str())));
  }

  scheduler sched_;
  context_state root_, services_;
  runtime_run *older_ = nullptr, *newer_ = nullptr;  // in the chain, under its lock
  std::mutex report_lock_;
  std::optional<std::string> deadlock_report_;
};

template <class T>
struct is_runtime_options : std::is_same<std::remove_cvref_t<T>, runtime_options> {};

struct run_function : spawn_calls<run_function> {
  template <class F, class... Args>
  auto spawn(const std::source_location& where, F&& f, Args&&... args) const {
    if constexpr (is_runtime_options<F>::value) {
      return start(where, f, std::forward<Args>(args)...);
    } else {
      return start(where, runtime_options(), std::forward<F>(f), std::forward<Args>(args)...);
    }
  }

 private:
  template <class F, class... Args>
  static auto start(const std::source_location& where, const runtime_options& options, F&& f,
                    Args&&... args) {
    if (this_thread().w != nullptr) {
      throw misuse("run() inside a goroutine; call the coroutine with co_await instead");
    }
    runtime_run runtime(options.workers(), nullptr);
    return runtime(options.linger(), where, std::forward<F>(f), std::forward<Args>(args)...);
  }
};

}  // namespace detail

/// `run(f, args...)` calls `f(args...)` in a goroutine and works, on this thread and others, until
/// that goroutine has ended. When it returns, its variables still there, the others are cancelled;
/// they are joined, links to other machines are flushed, and its result is returned or its
/// exception thrown. `run(runtime_options(), f, ...)` sets it up. Throws `deadlock`, after printing
/// every blocked goroutine with its reason and line, when nothing can ever run again; `unsent` if
/// something sent to another machine was not accepted.
inline constexpr detail::run_function run{};

/// Writes every goroutine of the process: why and where it waits, and where it was started.
inline void dump(std::ostream& out) { detail::dump_goroutines(out, 0); }

/// The number of live goroutines of the runtime that this thread is in, or that started last.
inline std::size_t live_goroutines() {
  detail::worker* const w = detail::this_thread().w;
  detail::scheduler* const s = w != nullptr ? &w->sched : detail::process_scheduler().load();
  return s != nullptr ? static_cast<std::size_t>(s->live()) : 0;
}

/// Says that a plain thread is going to make goroutines ready: while one exists, a runtime in which
/// every goroutine waits is not reported as deadlocked.
class outside_work {
 public:
  outside_work() {
    detail::worker* const w = detail::this_thread().w;
    detail::scheduler* const s = w != nullptr ? &w->sched : detail::process_scheduler().load();
    if (s == nullptr) throw misuse("outside_work needs a runtime");
    s->outside_begins();
    state_ = s->outside();
  }
  outside_work(outside_work&&) noexcept = default;
  outside_work& operator=(outside_work&&) = delete;
  ~outside_work() {  // the runtime may have ended before
    if (state_ == nullptr || state_->count.fetch_sub(1, std::memory_order_seq_cst) != 1) return;
    std::lock_guard hold(state_->lock);
    if (state_->sched != nullptr) state_->sched->parking()->wake();  // look again for a deadlock
  }

 private:
  std::shared_ptr<detail::scheduler::outside_state> state_;
};

}  // namespace strait::inline STRAIT_ABI
