// Waiting from a plain thread.
#pragma once

#include <chrono>
#include <coroutine>
#include <type_traits>
#include <utility>

#include <strait/context.hpp>
#include <strait/error.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI {

namespace detail {

/// Blocks the thread until its wait was claimed; fires the thread's own timers meanwhile.
inline void block(thread_goroutine& self) {
  std::unique_lock hold(self.mutex);
  while (!self.woken) {
    const nanos next = self.timers.first();
    const auto woken = [&] { return self.woken; };
    if (next == never) {
      self.wakeup.wait(hold, woken);
    } else if (!self.wakeup.wait_until(hold, to_time(next), woken)) {
      hold.unlock();
      ready_list due;
      self.timers.fire(steady_now(), due);
      scheduler::ready_all(due);
      hold.lock();
    }
  }
}

template <class Op>
decltype(auto) wait_for(Op& op) {
  thread_goroutine self;
  self.flags = goroutine::thread;
  self.born(0);
  self.budget = UINT16_MAX;
  op.g_ = &self;
  if (!op.await_ready() && op.await_suspend(std::noop_coroutine())) block(self);
  return op.await_resume();
}

}  // namespace detail

/// Does an operation (`ch.recv()`, `ch.send(v)`, `handle`, `select{...}`) on a thread that is no
/// worker of a runtime: blocks the thread until it is done, and gives or throws what co_await
/// would. Throws `misuse` on a worker, which must not block. A task is no operation: `run` it.
template <class Op>
  requires detail::is_operation<Op> || detail::makes_operation<Op>
decltype(auto) wait(Op&& op) {
  if (detail::this_thread().w != nullptr) {
    throw misuse("wait() would block a worker: use co_await in a goroutine");
  }
  if constexpr (detail::is_operation<Op>) {
    return detail::wait_for(op);
  } else {
    auto made = std::forward<Op>(op).as_operation();
    return detail::wait_for(made);
  }
}

template <class T>
void wait(task<T>&&) {
  static_assert(sizeof(task<T>) == 0,
                "strait: wait takes an operation; a coroutine needs a runtime: run(f, args...)");
}

}  // namespace strait::inline STRAIT_ABI
