// Calls that block their thread, made from a goroutine: on threads kept for that.
//
// The pool belongs to the runtime. A call goes to an idle thread, else to a new one, else (at
// `most_threads`) it waits its turn; a thread that had nothing to do for `idle_time` ends. Calls
// are links in the goroutines' frames: handing one over allocates nothing.
//
// Invariants
// - The wait is shielded: once handed over, the call refers to the goroutine's frame, so the
//   goroutine stays until it has returned. So no call is left when the runtime ends, and the pool
//   then joins its threads.
// - The wait begins before the call is handed over: its end may come at once.
// - The goroutine itself, when it goes on, says that the outside work is over. (Said by the thread
//   it would come too early, before the goroutine is ready, or too late, after the goroutine waits
//   for something else: a deadlock reported, or missed, by mistake.)
#pragma once

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

#include <strait/context.hpp>
#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

struct blocking_job {
  void (*run)(blocking_job*) noexcept = nullptr;
  blocking_job* next = nullptr;
};

class blocking_pool {
 public:
  static constexpr std::size_t most_threads = 512;
  static constexpr std::chrono::seconds idle_time{10};

  blocking_pool() = default;
  blocking_pool(const blocking_pool&) = delete;
  blocking_pool& operator=(const blocking_pool&) = delete;
  ~blocking_pool() {
    {
      std::lock_guard hold(lock_);
      stopping_ = true;
    }
    work_.notify_all();
    std::unique_lock hold(lock_);
    gone_.wait(hold, [this] { return alive_ == 0; });
    bury(hold);
  }

  /// The runtime's; made when it is first needed.
  static blocking_pool& of(scheduler& s) {
    std::lock_guard hold(s.blocking_lock);
    if (!s.blocking_pool) s.blocking_pool = std::make_shared<blocking_pool>();
    return *static_cast<blocking_pool*>(s.blocking_pool.get());
  }

  /// Throws, and has not taken the call, if there is no thread for it and none can be started.
  void submit(blocking_job* job) {
    std::unique_lock hold(lock_);
    bury(hold);
    if (waiting_calls_ >= idle_ && alive_ < most_threads) {
      try {
        threads_.emplace_back();
        const auto self = std::prev(threads_.end());
        *self = std::thread([this, self] { serve(self); });
        ++alive_;
      } catch (...) {
        if (!threads_.empty() && !threads_.back().joinable()) threads_.pop_back();
        if (alive_ == 0) throw;  // else one of those that there are will come to it
      }
    }
    (last_ != nullptr ? last_->next : first_) = job;
    last_ = job;
    ++waiting_calls_;
    hold.unlock();
    work_.notify_one();
  }

  std::size_t threads() {
    std::lock_guard hold(lock_);
    return alive_;
  }

 private:
  using thread_list = std::list<std::thread>;

  void serve(thread_list::iterator self) {
    std::unique_lock hold(lock_);
    for (;;) {
      ++idle_;
      const bool called =
          work_.wait_for(hold, idle_time, [this] { return first_ != nullptr || stopping_; });
      --idle_;
      if (!called || first_ == nullptr) break;
      blocking_job* const job = first_;
      first_ = job->next;
      if (first_ == nullptr) last_ = nullptr;
      --waiting_calls_;
      hold.unlock();
      job->run(job);  // the job is gone now
      hold.lock();
    }
    ended_.splice(ended_.end(), threads_, self);
    if (--alive_ == 0) gone_.notify_one();
  }

  /// Joins the threads that have ended: each has left the lock, or is about to.
  void bury(std::unique_lock<std::mutex>& hold) {
    while (!ended_.empty()) {
      thread_list one;
      one.splice(one.end(), ended_, ended_.begin());
      hold.unlock();
      one.front().join();
      hold.lock();
    }
  }

  std::mutex lock_;  // guards all below
  std::condition_variable work_;
  std::condition_variable gone_;
  blocking_job* first_ = nullptr;
  blocking_job* last_ = nullptr;
  std::size_t waiting_calls_ = 0;
  std::size_t idle_ = 0;
  std::size_t alive_ = 0;
  bool stopping_ = false;
  thread_list threads_;
  thread_list ended_;
};

template <class F>
class blocking_op : public operation, blocking_job {
  using value = std::invoke_result_t<F&>;

 public:
  explicit blocking_op(F&& f) : call_(std::move(f)) {}
  explicit blocking_op(const F& f) : call_(f) {}
  blocking_op(const blocking_op&) = delete;
  blocking_op& operator=(const blocking_op&) = delete;

  bool await_ready() {
    if (g_->cancel_pending()) {
      cancelled_ = true;
      return true;
    }
    if (g_->sched->sim() == nullptr) return false;
    make_call();
    return true;
  }
  STRAIT_NOINLINE void await_suspend(std::coroutine_handle<> self) {
    goroutine* const g = node_.g = g_;
    blocking_pool& pool = blocking_pool::of(*g->sched);
    g->resume_at = self;
    g->note(wait_reason::blocking, nullptr);
    run = [](blocking_job* j) noexcept {
      auto* const op = static_cast<blocking_op*>(j);
      goroutine* const waits = op->node_.g;
      op->make_call();
      if (waits->claim(&op->node_)) scheduler::ready(waits);  // the operation is gone now
    };
    g->sched->outside_begins();
    ++g->shields;
    g->begin_wait();
    --g->shields;
    try {
      pool.submit(this);
    } catch (...) {
      g->abandon_wait(nullptr);
      g->note(wait_reason::none, nullptr);
      g->sched->outside_ends();
      throw;
    }
  }
  value await_resume() {
    if (cancelled_) throw_cancelled(g_);
    if (node_.g != nullptr) {
      g_->note(wait_reason::none, nullptr);
      g_->sched->outside_ends();
    }
    return result_.get();
  }

 private:
  void make_call() noexcept {
    try {
      if constexpr (std::is_void_v<value>) {
        call_();
        result_.set_value();
      } else {
        result_.set_value(call_());
      }
    } catch (...) {
      result_.set_error(std::current_exception());
    }
  }

  F call_;
  waiter node_;
  bool cancelled_ = false;
  result_slot<value> result_;
};

}  // namespace detail

/// `co_await blocking(f)` calls `f()` on a thread that may block, while the worker runs other
/// goroutines, and gives its result or throws what it threw. At most 512 such calls run at a time
/// in a runtime, further ones wait their turn; idle threads end after 10 s. Throws `cancelled` if
/// the goroutine is cancelled before, and then does not call `f`; once called, it is waited for, as
/// by shield. In a simulation `f` runs at once, in place.
///
/// `f` is kept in the frame until the await is over. A lambda that owns something is made before
/// the await, for g++ 12 destroys one that is made inside of it twice:
///     auto job = [file = std::move(file)] { return file.read(); };
///     auto text = co_await st::blocking(std::move(job));
template <class F>
  requires std::is_invocable_v<std::decay_t<F>&>
detail::blocking_op<std::decay_t<F>> blocking(F&& f) {
  return detail::blocking_op<std::decay_t<F>>(std::forward<F>(f));
}

}  // namespace strait::inline STRAIT_ABI
