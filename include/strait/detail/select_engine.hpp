// The engine of select: one of several operations, and no trace of the others.
//
// Go's (runtime/select.go). First each case is tried by itself, in random order: a case found ready
// is a legal choice at that instant. If none is, all distinct locks are taken in address order and
// the cases tried again, now against one instant: only then may `otherwise` win, or the goroutine
// wait, with a node in every queue. Whoever claims the goroutine names the winning node; the losers
// are unlinked, each under its lock, before the goroutine goes on.
//
// Invariants
// - A lock that several cases share is taken once (the same channel twice, both directions).
// - The nodes are linked under all locks; releasing the last lock is the last access to the frame.
// - A case is committed by the operation's own try_locked, or by the peer that claimed its node: a
//   case that did not win has had no effect.
// The engine is not a template: cases are an operation and its table of functions.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <utility>

#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// How the engine drives one kind of operation.
struct case_type {
  spin_lock* (*lock)(void*);
  bool (*try_locked)(void*, ready_list&);
  void (*link)(void*);
  void (*unlink)(void*) noexcept;
};

template <class Op>
const case_type& case_type_of() noexcept {
  static constexpr case_type type = {
      [](void* op) { return static_cast<Op*>(op)->queue_lock(); },
      [](void* op, ready_list& woken) { return static_cast<Op*>(op)->try_locked(woken); },
      [](void* op) { static_cast<Op*>(op)->link_locked(); },
      [](void* op) noexcept { static_cast<Op*>(op)->unlink_locked(); }};
  return type;
}

struct select_case {
  void* op = nullptr;  // null: the `otherwise` case, or one that is out of the race
  waiter* node = nullptr;
  operation* base = nullptr;
  const case_type* type = nullptr;
  spin_lock* lock = nullptr;  // null: nil, never ready

  template <class Op>
  static select_case of(Op& op) noexcept {
    return {&op, static_cast<waiter*>(&op), static_cast<operation*>(&op), &case_type_of<Op>(),
            nullptr};
  }
};

STRAIT_NOINLINE inline void release_all(spin_lock* const* locks, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) locks[i]->unlock();
}

class select_engine {
 public:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  /// `locks` and `order` are scratch of the caller's, as long as the cases.
  select_engine(select_case* cases, std::size_t n, spin_lock** locks, std::uint32_t* order,
                std::size_t otherwise, bool ordered) noexcept
      : cases_(cases),
        n_(n),
        locks_(locks),
        order_(order),
        otherwise_(otherwise),
        ordered_(ordered) {}

  /// True: decided (`winner`), or cancelled. False: suspend; the locks are held.
  bool begin(goroutine* g) {
    if (g->cancel_pending()) {
      cancelled_ = true;
      return true;
    }
    std::size_t lockable = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      select_case& c = cases_[i];
      order_[i] = static_cast<std::uint32_t>(i);
      if (c.op == nullptr) continue;
      c.node->g = g;
      c.base->g_ = g;
      c.lock = c.type->lock(c.op);
      if (c.lock != nullptr) ++lockable;
    }
    if (!ordered_ && lockable > 1) shuffle(g);
    if (try_each(g)) return --g->budget != 0;
    if (otherwise_ != none && lockable <= 1) return choose_otherwise(g);
    lock_all();
    ready_list woken;
    for (std::size_t i = 0; i < n_; ++i) {
      select_case& c = cases_[order_[i]];
      if (c.lock != nullptr && c.type->try_locked(c.op, woken)) {
        release_all(locks_, held_);
        scheduler::ready_all_from(g->on, woken);
        winner_ = order_[i];
        return --g->budget != 0;
      }
    }
    if (otherwise_ != none) {
      release_all(locks_, held_);
      return choose_otherwise(g);
    }
    return false;
  }

  /// After a false `begin`. False: cancelled meanwhile, do not suspend after all.
  bool suspend(goroutine* g, std::coroutine_handle<> self) {
    g->resume_at = self;
    if (winner_ != none) {  // decided, but the budget is used up
      g->sched->yield_current(g);
      return true;
    }
    g->note(wait_reason::select, nullptr);
    const std::size_t held = held_;
    waited_ = true;  // before the wait begins: a cancellation resumes us at once
    if (!g->begin_wait()) {
      release_all(locks_, held);
      waited_ = false;
      cancelled_ = true;
      return false;
    }
    if (held == 0) return true;  // no lock keeps whoever resumes us from ending this frame
    // In random order: of cases on one channel, a peer meets the one that is linked first.
    for (std::size_t i = 0; i < n_; ++i) {
      select_case& c = cases_[order_[i]];
      if (c.lock != nullptr) c.type->link(c.op);
    }
    release_all(locks_, held);
    return true;
  }

  /// After resumption (or a true `begin`): the winner, or throws `cancelled`.
  std::size_t finish(goroutine* g) {
    if (waited_) {
      g->note(wait_reason::none, nullptr);
      waiter* const won = g->won;
      for (std::size_t i = 0; i < n_; ++i) {
        select_case& c = cases_[i];
        if (c.lock == nullptr) continue;
        if (c.node == won) {
          winner_ = i;
          continue;
        }
        c.lock->lock();
        c.type->unlink(c.op);
        c.lock->unlock();
      }
      cancelled_ = won == nullptr;
    }
    if (cancelled_) throw_cancelled(g);
    return winner_;
  }

 private:
  bool choose_otherwise(goroutine* g) noexcept {
    winner_ = otherwise_;
    return --g->budget != 0;
  }

  bool try_each(goroutine* g) {
    for (std::size_t i = 0; i < n_; ++i) {
      select_case& c = cases_[order_[i]];
      if (c.lock == nullptr) continue;
      ready_list woken;
      c.lock->lock();
      const bool done = c.type->try_locked(c.op, woken);
      c.lock->unlock();
      if (!done) continue;
      scheduler::ready_all_from(g->on, woken);
      winner_ = order_[i];
      return true;
    }
    return false;
  }

  void shuffle(goroutine* g) noexcept {
    worker* const w = g->on;
    random_source mine(reinterpret_cast<std::uintptr_t>(g) ^
                       static_cast<std::uint64_t>(w == nullptr ? steady_now() : 0));
    random_source& random = w != nullptr ? w->random : mine;
    for (std::size_t i = n_ - 1; i > 0; --i) {
      std::swap(order_[i], order_[random.below(static_cast<std::uint32_t>(i + 1))]);
    }
  }

  void lock_all() noexcept {
    held_ = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      if (cases_[i].lock != nullptr) locks_[held_++] = cases_[i].lock;
    }
    std::sort(locks_, locks_ + held_, std::less<spin_lock*>());
    held_ = static_cast<std::size_t>(std::unique(locks_, locks_ + held_) - locks_);
    for (std::size_t i = 0; i < held_; ++i) locks_[i]->lock();
  }

  select_case* const cases_;
  const std::size_t n_;
  spin_lock** const locks_;
  std::uint32_t* const order_;
  const std::size_t otherwise_;
  const bool ordered_;
  bool waited_ = false;
  bool cancelled_ = false;
  std::size_t held_ = 0;
  std::size_t winner_ = none;
};

/// Runs `f`, and says of a channel_error that it throws which case it was. A copy is thrown: the
/// original may be shared by everybody who waits for that channel.
template <class F>
decltype(auto) with_case_index(std::size_t i, F&& f) {
  const auto again = [i](auto copy) {
    copy.set_case_index(i);
    return copy;
  };
  try {
    return f();
  } catch (const closed& e) {
    throw again(e);
  } catch (const failed& e) {
    throw again(e);
  } catch (const lost& e) {
    throw again(e);
  } catch (const channel_error& e) {
    throw again(e);
  }
}

}  // namespace strait::inline STRAIT_ABI::detail
