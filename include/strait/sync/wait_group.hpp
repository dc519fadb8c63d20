// A counter that goroutines wait for: Go's WaitGroup.
//
// Prefer `scope`: it cannot be left too early, and the first failure cancels the rest. This is for
// work that is counted, not owned.
//
// The counter and the queue are guarded by one spin lock. Whoever brings it to zero claims all who
// wait, under that lock, and touches the group no more after its release: a waiter may destroy the
// group. Members started with `go` hold the state alive by themselves, so that a waiter that is
// cancelled may leave, and take the group with it, before they have ended.
#pragma once

#include <cstddef>
#include <exception>
#include <source_location>
#include <utility>

#include <strait/detail/spawn_calls.hpp>
#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>
#include <strait/go.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

struct wait_group_state final : group_core {
  wait_group_state() noexcept : group_core(false) {}

  /// Counts; false, and nothing done, if the counter would be negative. `members` is the change in
  /// goroutines that refer to this.
  bool add(std::ptrdiff_t n, std::ptrdiff_t members) {
    ready_list woken;
    lock.lock();
    if (count + n < 0) {
      lock.unlock();
      return false;
    }
    count += n;
    refs += members;
    if (count == 0) {
      while (waiter* const w = pop_claimed(waiters)) woken.push(w->g);
    }
    const bool last = refs == 0;
    lock.unlock();
    if (last) delete this;  // the group is gone, so nobody waits
    scheduler::ready_all(woken);
    return true;
  }
  void forget() {
    lock.lock();
    const bool last = --refs == 0;
    lock.unlock();
    if (last) delete this;
  }

  void member_ended(goroutine::place spawned, std::exception_ptr&&) noexcept override {
    if (!add(-1, -1)) {
      add(0, -1);
      die_of(spawned, std::make_exception_ptr(misuse("wait_group: negative counter")));
    }
  }

  static void* operator new(std::size_t n) { return frame_allocate(n); }
  static void operator delete(void* p, std::size_t n) noexcept { frame_free(p, n); }

  spin_lock lock;
  std::ptrdiff_t count = 0;  // these three are guarded by `lock`
  std::ptrdiff_t refs = 1;   // the wait_group and its members
  wait_queue waiters;
};

struct wait_group_op : wait_op<wait_group_op> {
  static constexpr wait_reason reason = wait_reason::wait_group;
  explicit wait_group_op(wait_group_state& s) noexcept : state_(&s) {}
  spin_lock* queue_lock() const noexcept { return &state_->lock; }
  bool try_locked(ready_list&) const noexcept { return state_->count == 0; }
  void link_locked() noexcept { state_->waiters.push_back(this); }
  void unlink_locked() noexcept { state_->waiters.remove(this); }
  void result() const noexcept {}
  const void* subject() const noexcept { return state_; }

 private:
  wait_group_state* state_;
};

struct wait_group_go : spawn_calls<wait_group_go> {
  explicit wait_group_go(wait_group_state& s) noexcept : state(&s) {}
  wait_group_go(const wait_group_go&) = delete;
  wait_group_go& operator=(const wait_group_go&) = delete;

  template <class F, class... Args>
  auto spawn(const std::source_location& where, F&& f, Args&&... args) const {
    using T = spawn_result_t<F, Args...>;
    const spawn_place at = here();
    state->add(1, 1);
    try {
      return join_handle<T>(spawner::launch(*at.sched, at.ctx, state, 0, where, std::forward<F>(f),
                                            std::forward<Args>(args)...));
    } catch (...) {
      state->add(-1, -1);
      throw;
    }
  }

 private:
  wait_group_state* state;
};

}  // namespace detail

/// Waits for a number of things to be done. May be used again once it was waited for.
class wait_group {
  detail::wait_group_state* const state_ = new detail::wait_group_state;

 public:
  wait_group() : go(*state_) {}
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;
  ~wait_group() { state_->forget(); }

  /// `wg.go(f, args...)` is st::go, counted from now until the goroutine has ended. An exception of
  /// f goes to whoever joins the handle; if the handle was dropped it ends the process, before the
  /// count goes down. The goroutine may outlive the group.
  const detail::wait_group_go go;

  /// Counts n things more to be done, less if negative; at zero all who wait go on. Any thread.
  /// Throws `misuse`, and changes nothing, if the counter would be negative.
  void add(std::ptrdiff_t n = 1) {
    if (!state_->add(n, 0)) throw misuse("wait_group: negative counter");
  }
  /// One thing is done.
  void done() { add(-1); }
  /// `co_await wg.wait()` suspends until the counter is zero. Throws `cancelled`. A case of select,
  /// and of st::wait, as well.
  detail::wait_group_op wait() noexcept { return detail::wait_group_op(*state_); }
};

}  // namespace strait::inline STRAIT_ABI
