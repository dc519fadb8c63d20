// The waits of time.hpp: a sleep, which has a timer of its own, and the receive of a timer or
// ticker (an *alarm*), which others may stop and start meanwhile.
//
// Invariant: an alarm and the waits for it are guarded by the lock of the heap it is in. At most
// one value is pending, and a stop or a new start takes it away: nothing stale is received.
#pragma once

#include <chrono>
#include <coroutine>

#include <strait/context.hpp>
#include <strait/delivery.hpp>
#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// The timers that a wait of this goroutine goes to: its worker's, or its own for a plain thread.
inline timer_heap& timers_of(goroutine* g) noexcept {
  return g->has(goroutine::thread) ? static_cast<thread_goroutine*>(g)->timers
                                   : this_thread().w->timers;
}
inline nanos now_of(goroutine* g) noexcept {
  return g->sched != nullptr ? g->sched->now() : steady_now();
}
template <class Rep, class Period>
std::chrono::nanoseconds saturated(std::chrono::duration<Rep, Period> d) noexcept {
  using wide = std::chrono::duration<long double, std::nano>;
  if (wide(d).count() >= static_cast<long double>(never)) return std::chrono::nanoseconds::max();
  if (wide(d).count() <= 0) return std::chrono::nanoseconds(0);
  return std::chrono::ceil<std::chrono::nanoseconds>(d);
}

struct sleep_op : wait_op<sleep_op> {
  static constexpr wait_reason reason = wait_reason::sleep;

  explicit sleep_op(std::chrono::nanoseconds d) noexcept : delay_(d.count()) {}
  explicit sleep_op(clock::time_point t) noexcept : delay_(-1) { timer_.when = to_nanos(t); }
  sleep_op(sleep_op&&) noexcept = default;  // only before it is awaited
  sleep_op& operator=(sleep_op&&) = delete;

  spin_lock* queue_lock() noexcept {
    if (heap_ == nullptr) heap_ = &timers_of(g_);
    return &heap_->lock;
  }
  bool try_locked(ready_list&) noexcept {
    if (delay_ > 0) return false;
    if (delay_ < 0 && timer_.when > now_of(g_)) return false;
    if (delay_ == 0) timer_.when = now_of(g_);
    return true;
  }
  void link_locked() {
    if (delay_ > 0) timer_.when = after_now(now_of(g_), std::chrono::nanoseconds(delay_));
    timer_.wakes = this;
    heap_->add_locked(&timer_);
  }
  void unlink_locked() noexcept { heap_->remove_locked(&timer_); }
  void result() const noexcept {}

 protected:
  nanos delay_;  // from now; -1: until timer_.when
  timer_node timer_;
  timer_heap* heap_ = nullptr;
};

struct after_op : sleep_op {
  using sleep_op::sleep_op;
  clock::time_point await_resume() {
    sleep_op::await_resume();
    return result();
  }
  clock::time_point result() const noexcept { return to_time(timer_.when); }
};

struct yield_op : operation {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self) const {
    if (g_->cancel_pending()) return false;
    g_->resume_at = self;
    g_->sched->yield_current(g_);
    return true;
  }
  void await_resume() const {
    if (g_->cancel_pending()) throw_cancelled(g_);
  }
};

/// A waiting receive of a timer or ticker; whoever ends the wait says with what.
struct alarm_node : waiter {
  nanos at = 0;  // when it was due
  bool ended = false;
};

/// A timer or ticker: everything is guarded by the lock of the heap it is in.
struct alarm_state : timer_node {
  explicit alarm_state(timer_heap& h) noexcept : home(&h) { fire = &on_fire; }

  static void on_fire(timer_node* n, nanos now, ready_list& woken) noexcept {
    auto* const self = static_cast<alarm_state*>(n);
    self->pending = true;  // one at most: a slow receiver misses ticks
    self->fired_at = self->when;
    if (self->period > 0) {
      self->when += (now - self->when) / self->period * self->period + self->period;
      self->home->add_locked(self);
    }
    if (waiter* const w = pop_claimed(self->waiters)) {
      self->pending = false;
      static_cast<alarm_node*>(w)->at = self->fired_at;
      woken.push(w->g);
    }
  }

  timer_heap* const home;
  nanos period = 0;
  bool pending = false;
  bool stopped = false;  // a ticker: its receivers see the end
  nanos fired_at = 0;
  wait_queue waiters;
};

struct alarm_op : wait_op<alarm_op, alarm_node> {
  static constexpr wait_reason reason = wait_reason::sleep;

  explicit alarm_op(alarm_state* a) noexcept : alarm_(a) {}
  spin_lock* queue_lock() const noexcept { return &alarm_->home->lock; }
  bool try_locked(ready_list&) noexcept {
    if (alarm_->pending) {
      alarm_->pending = false;
      at = alarm_->fired_at;
      return true;
    }
    ended = alarm_->stopped;
    return ended;
  }
  void link_locked() noexcept { alarm_->waiters.push_back(this); }
  void unlink_locked() noexcept { alarm_->waiters.remove(this); }
  received<clock::time_point> result() noexcept {
    if (ended) return {};
    return received<clock::time_point>(to_time(at));
  }
  const void* subject() const noexcept { return alarm_; }

 private:
  alarm_state* alarm_;
};

class alarm {
 public:
  alarm(const alarm&) = delete;
  alarm& operator=(const alarm&) = delete;

 protected:
  alarm() : state_(place()), sched_(this_thread().w->sched) {}
  ~alarm() { halt(false); }

  /// Starts it, anew if it is running: in one step, for several goroutines may do so at a time.
  /// Whether it was active.
  bool start(nanos delay, nanos period) {
    state_.home->lock.lock();
    const bool active = state_.home->remove_locked(&state_) || state_.pending;
    state_.pending = false;
    state_.stopped = false;
    state_.period = period;
    state_.when = after_now(sched_.now(), std::chrono::nanoseconds(delay));
    state_.home->add_locked(&state_);
    state_.home->lock.unlock();
    return active;
  }
  /// Takes it out, with a value that was not received: nothing stale is left. Whether it was
  /// active.
  bool halt(bool end_receivers) noexcept {
    ready_list woken;
    state_.home->lock.lock();
    const bool active = state_.home->remove_locked(&state_) || state_.pending;
    state_.pending = false;
    if (end_receivers) {
      state_.stopped = true;
      while (waiter* const w = pop_claimed(state_.waiters)) {
        static_cast<alarm_node*>(w)->ended = true;
        woken.push(w->g);
      }
    }
    state_.home->lock.unlock();
    scheduler::ready_all(woken);
    return active;
  }
  alarm_state state_;

 private:
  static timer_heap& place() {
    worker* const w = this_thread().w;
    if (w == nullptr) throw misuse("timers and tickers are made inside a goroutine");
    return w->timers;
  }
  scheduler& sched_;
};

}  // namespace strait::inline STRAIT_ABI::detail
