// What a context is inside: a tree of cancellable scopes with their member goroutines.
//
// Invariants
// - A goroutine is a member of exactly one context, its innermost; moving in and out happens on the
//   goroutine itself, under the lock of the context concerned. The root context of a runtime has
//   no member list (every spawn would contend on it): it is cancelled through the registry of
//   goroutine blocks, where a bit in the park word tells its members. That walk may miss one that
//   is born meanwhile; whoever finds that the rest waits for it walks again (runtime.hpp).
// - A *detached* context is not cancelled with the one it was made from: shield().
// - Locks are taken from parent to child. Nothing else is locked under a context's lock; claims are
//   lock-free, and what was claimed is made ready after release.
// - `cancelled` is set before members are marked and before children are visited, under the lock,
//   so whoever joins the context later sees it.
#pragma once

#include <exception>
#include <functional>
#include <list>
#include <memory>

#include <strait/detail/goroutine.hpp>
#include <strait/detail/scheduler.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// The cause with which a context's own deadline cancels it.
class deadline_exceeded : public timed_out {};

struct context_state {
  context_state(context_state* from, scheduler* s, bool detached = false)
      : parent(detached ? nullptr : from), values_from(from), sched(s) {
    if (from != nullptr) {
      from->retain();
      deadline = detached ? never : from->deadline;
    }
    if (parent != nullptr) link();
  }
  context_state(const context_state&) = delete;
  context_state& operator=(const context_state&) = delete;

  void retain() noexcept {
    if (!is_root) refs.fetch_add(1, std::memory_order_relaxed);
  }
  /// For the timer, which holds no reference: false when the last one is being given up.
  bool retain_if_alive() noexcept {
    std::uint32_t seen = refs.load(std::memory_order_relaxed);
    while (seen != 0) {
      if (refs.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
  }
  static void release(context_state* c) noexcept {
    while (c != nullptr && !c->is_root && c->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      context_state* const up = c->values_from;
      c->disarm();
      c->unlink();
      delete c;
      c = up;  // the reference that the child held
    }
  }

  /// Cancels this context and all below it, once; false when it was cancelled already.
  bool cancel(std::exception_ptr why) {
    ready_list woken;
    std::list<std::function<void()>> calls;
    const bool first = mark(why, woken, calls);
    scheduler::ready_all(woken);
    for (auto& call : calls) call();
    return first;
  }

  /// A cancelled root context: marks members that the first walk missed. Whether any waited.
  bool cancel_missed() {
    ready_list woken;
    mark_all(woken);
    const bool any = !woken.empty();
    scheduler::ready_all(woken);
    return any;
  }

  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
  std::exception_ptr cause() {
    lock.lock();
    std::exception_ptr c = cause_;
    lock.unlock();
    return c;
  }

  /// Makes the goroutine a member; marks it when the context is cancelled already.
  void enter(goroutine* g) noexcept {
    g->ctx = this;
    if (is_root) {
      if ((g->park.load() & goroutine::root_bit) == 0) {
        g->park.fetch_or(goroutine::root_bit, std::memory_order_seq_cst);
      }
      if (is_cancelled()) g->park.fetch_or(goroutine::cancel_bit, std::memory_order_acq_rel);
      return;
    }
    lock.lock();
    g->member_prev = nullptr;
    g->member_next = members;
    if (members != nullptr) members->member_prev = g;
    members = g;
    if (is_cancelled()) g->park.fetch_or(goroutine::cancel_bit, std::memory_order_acq_rel);
    lock.unlock();
  }
  void leave(goroutine* g) noexcept {
    if (is_root) return;
    lock.lock();
    (g->member_prev != nullptr ? g->member_prev->member_next : members) = g->member_next;
    if (g->member_next != nullptr) g->member_next->member_prev = g->member_prev;
    lock.unlock();
  }

  /// The running goroutine's move from its context to another: it sheds the mark of the old one.
  static void move(goroutine* g, context_state* to) noexcept {
    g->ctx->leave(g);
    g->park.fetch_and(~(goroutine::cancel_bit | goroutine::root_bit), std::memory_order_acq_rel);
    to->enter(g);
  }

  /// Arms the deadline on the calling worker's timers.
  void arm(nanos when) {
    deadline = std::min(deadline, when);
    if (deadline != when || is_cancelled()) return;
    worker* const w = this_thread().w;
    if (w == nullptr) throw misuse("a deadline can be set inside a goroutine only");
    timer.when = when;
    timer.owner = this;
    timer.retain = [](timer_node* n) noexcept { return of(n)->retain_if_alive(); };
    timer.run = [](timer_node* n, nanos) noexcept {
      context_state* const c = of(n);
      c->cancel(std::make_exception_ptr(deadline_exceeded()));
      release(c);
    };
    armed_on = &w->timers;
    armed_on->lock.lock();
    armed_on->add_locked(&timer);
    armed_on->lock.unlock();
  }
  void disarm() noexcept {
    if (armed_on == nullptr) return;
    armed_on->lock.lock();
    armed_on->remove_locked(&timer);
    armed_on->lock.unlock();
    armed_on = nullptr;
  }

  struct deadline_timer : timer_node {
    context_state* owner = nullptr;
  };
  static context_state* of(timer_node* n) noexcept {
    return static_cast<deadline_timer*>(n)->owner;
  }

  atomic<std::uint32_t> refs{1};
  bool is_root = false;
  spin_lock lock;
  context_state* const parent;       // cancels this one; null for a detached context
  context_state* const values_from;  // where values are looked up next; kept alive
  scheduler* const sched;
  context_state *first_child = nullptr, *next_sibling = nullptr, *prev_sibling = nullptr;
  goroutine* members = nullptr;
  wait_queue done_waiters;
  nanos deadline = never;
  deadline_timer timer;
  timer_heap* armed_on = nullptr;
  const void* key = nullptr;  // a value this context adds, by the address of its key
  std::shared_ptr<const void> value;
  std::list<std::function<void()>> callbacks;  // run once, by the canceller, without the lock

 private:
  void link() {
    parent->lock.lock();
    next_sibling = parent->first_child;
    if (next_sibling != nullptr) next_sibling->prev_sibling = this;
    parent->first_child = this;
    if (parent->is_cancelled()) {
      cause_ = parent->cause_;
      cancelled_.store(true, std::memory_order_release);
    }
    parent->lock.unlock();
  }
  void unlink() noexcept {
    if (parent == nullptr) return;
    parent->lock.lock();
    (prev_sibling != nullptr ? prev_sibling->next_sibling : parent->first_child) = next_sibling;
    if (next_sibling != nullptr) next_sibling->prev_sibling = prev_sibling;
    parent->lock.unlock();
  }

  bool mark(const std::exception_ptr& why, ready_list& woken,
            std::list<std::function<void()>>& calls) {
    lock.lock();
    if (is_cancelled()) {
      lock.unlock();
      return false;
    }
    cause_ = why;
    cancelled_.store(true, std::memory_order_seq_cst);
    if (is_root) {
      mark_all(woken);
    } else {
      for (goroutine* g = members; g != nullptr; g = g->member_next) {
        if (g->claim_cancel()) woken.push(g);
      }
    }
    while (waiter* const w = done_waiters.pop_front()) {
      if (w->g->claim(w)) woken.push(w->g);
    }
    calls.splice(calls.end(), callbacks);
    for (context_state* c = first_child; c != nullptr; c = c->next_sibling) {
      c->mark(why, woken, calls);
    }
    lock.unlock();
    return true;
  }

  /// Every member of a root context. A block may end and be reused by another runtime meanwhile;
  /// the owner's number in the park word makes the exchange fail then.
  void mark_all(ready_list& woken) {
    for_each_goroutine_block([&](char* block, std::size_t) {
      auto* const g = reinterpret_cast<goroutine*>(block);
      std::uint32_t seen = g->park.load(std::memory_order_acquire);
      for (;;) {
        if ((seen & goroutine::alive_bit) == 0 || (seen & goroutine::daemon_bit) != 0) return;
        if ((seen & goroutine::root_bit) == 0) return;
        if ((seen >> goroutine::owner_shift) != sched->number()) return;
        const bool waits = (seen & goroutine::states) == goroutine::waiting;
        const std::uint32_t marked =
            (seen | goroutine::cancel_bit) & (waits ? ~goroutine::states : ~0u);
        if (!g->park.compare_exchange(seen, marked, std::memory_order_acq_rel)) continue;
        if (waits) {
          g->won = nullptr;
          woken.push(g);
        }
        return;
      }
    });
  }

  atomic<bool> cancelled_{false};
  std::exception_ptr cause_;
};

/// Throws `cancelled` with the cause of the goroutine's context.
[[noreturn]] inline void throw_cancelled(goroutine* g) {
  throw cancelled(g->ctx != nullptr ? g->ctx->cause() : nullptr);
}

}  // namespace strait::inline STRAIT_ABI::detail
