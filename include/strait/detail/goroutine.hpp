// The goroutine block, and the protocol by which exactly one event ends a wait.
//
// A goroutine that waits has its waiter nodes in one or more queues (a channel's, a timer heap, a
// mutex's); its context may be cancelled at the same moment. Whoever wants to end the wait must
// *claim* it: one compare-exchange on the goroutine's park word, from waiting to not waiting. The
// winner alone hands over the value, makes the goroutine ready, and nobody else touches it.
//
// Invariants
// - A claim is made only under the lock of a queue in which a node of that wait is linked, or under
//   the lock of the context whose member the goroutine is (or through the goroutine registry).
//   Before a goroutine goes on it unlinks the nodes that did not win, under those same locks, so a
//   late claimer can never meet the *next* wait by mistake.
// - Cancellation is a sticky bit in the same word. It is set first and claimed second, and a wait
//   begins with a compare-exchange that sees the bit, so it is either noticed or claimed: one word,
//   no fence. A shielded wait is another state, which the bit does not claim.
// - Publishing a node is the last thing a parking goroutine does: the node's lock is released and
//   nothing of the frame is touched, since another worker may already run it.
//
// The park word also says whether the block is alive and whose it is (a scheduler's number), so
// the registry walk may look at blocks that are being recycled under its feet.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <source_location>

#include <strait/detail/atomic.hpp>
#include <strait/detail/pool.hpp>
#include <strait/detail/spin_lock.hpp>

namespace strait::inline STRAIT_ABI::detail {

struct context_state;
class scheduler;
struct worker;
struct goroutine;

/// Why a goroutine waits; printed by the dump.
enum class wait_reason : std::uint8_t {
  none,
  receive,
  send,
  nil_channel,
  select,
  sleep,
  join,
  group,
  mutex,
  semaphore,
  wait_group,
  condvar,
  once,
  latch,
  barrier,
  context,
  blocking,
  foreign,
  yield,
  flush,
  runtime
};

constexpr const char* describe(wait_reason reason) {
  switch (reason) {
    case wait_reason::none: return "running or ready";
    case wait_reason::receive: return "receive from a channel";
    case wait_reason::send: return "send to a channel";
    case wait_reason::nil_channel: return "operation on a nil channel";
    case wait_reason::select: return "select";
    case wait_reason::sleep: return "sleep";
    case wait_reason::join: return "join of a goroutine";
    case wait_reason::group: return "join of a group";
    case wait_reason::mutex: return "lock of a mutex";
    case wait_reason::semaphore: return "acquire of a semaphore";
    case wait_reason::wait_group: return "wait for a wait_group";
    case wait_reason::condvar: return "wait for a condvar";
    case wait_reason::once: return "wait for a once";
    case wait_reason::latch: return "wait for a latch";
    case wait_reason::barrier: return "wait for a barrier";
    case wait_reason::context: return "end of a context";
    case wait_reason::blocking: return "blocking call";
    case wait_reason::foreign: return "foreign awaitable";
    case wait_reason::yield: return "yield";
    case wait_reason::flush: return "flush of a channel";
    case wait_reason::runtime: return "runtime service";
  }
  return "unknown";
}

/// An atomic whose construction writes nothing: the registry walk may be reading it.
template <class T>
class bare_atomic {
 public:
  T load(std::memory_order o = std::memory_order_relaxed) const noexcept {
    return std::atomic_ref<T>(value_).load(o);
  }
  void store(T v, std::memory_order o = std::memory_order_relaxed) noexcept {
    std::atomic_ref<T>(value_).store(v, o);
  }
  bool compare_exchange(T& expected, T wanted, std::memory_order o) noexcept {
    return std::atomic_ref<T>(value_).compare_exchange_strong(expected, wanted, o,
                                                              std::memory_order_relaxed);
  }
  T fetch_or(T bits, std::memory_order o) noexcept {
    return std::atomic_ref<T>(value_).fetch_or(bits, o);
  }
  T fetch_and(T bits, std::memory_order o) noexcept {
    return std::atomic_ref<T>(value_).fetch_and(bits, o);
  }

 private:
  alignas(std::atomic_ref<T>::required_alignment) mutable T value_;
};

/// One parked operation's place in one queue.
struct waiter {
  waiter* next = nullptr;
  waiter* prev = nullptr;
  goroutine* g = nullptr;
  bool queued = false;
};

/// A doubly linked FIFO of waiters; guarded by the lock of whatever owns it.
class wait_queue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  waiter* front() const noexcept { return head_; }
  void push_back(waiter* w) noexcept {
    w->queued = true;
    w->next = nullptr;
    w->prev = tail_;
    (tail_ != nullptr ? tail_->next : head_) = w;
    tail_ = w;
  }
  void push_front(waiter* w) noexcept {
    w->queued = true;
    w->prev = nullptr;
    w->next = head_;
    (head_ != nullptr ? head_->prev : tail_) = w;
    head_ = w;
  }
  void remove(waiter* w) noexcept {
    if (!w->queued) return;
    w->queued = false;
    (w->prev != nullptr ? w->prev->next : head_) = w->next;
    (w->next != nullptr ? w->next->prev : tail_) = w->prev;
  }
  waiter* pop_front() noexcept {
    waiter* const w = head_;
    if (w != nullptr) remove(w);
    return w;
  }

 private:
  waiter* head_ = nullptr;
  waiter* tail_ = nullptr;
};

/// What a goroutine's callable left behind for the end: the callable and arguments themselves.
struct closure_base {
  void (*destroy)(closure_base*) noexcept;
};

/// What depends on the type of a goroutine's result.
struct goroutine_type {
  void (*drop)(goroutine*) noexcept;  // destroys the block and the result in it
  std::exception_ptr (*error)(const goroutine*) noexcept;
  std::exception_ptr (*take_error)(goroutine*) noexcept;
};

struct goroutine {
  // park word: bits 0-1 state, 2 cancelled, 3 alive, 4 a service's, 5 member of a root context,
  // 8-31 the scheduler's number.
  static constexpr std::uint32_t waiting = 1, waiting_shielded = 2, states = 3;
  static constexpr std::uint32_t cancel_bit = 4, alive_bit = 8, daemon_bit = 16, root_bit = 32,
                                 owner_shift = 8;

  enum flag : std::uint8_t { thread = 1, daemon = 2, lazy = 4, in_group = 8, first = 16 };

  goroutine* next = nullptr;  // run queues and ready lists; first, as the free list uses it too
  bare_atomic<std::uint32_t> park;
  std::uint8_t flags = 0;
  std::uint8_t shields = 0;  // waits that begin now cannot be cancelled
  std::uint8_t hops = 0;     // symmetric transfers since the worker loop
  bool done = false;         // guarded by `lock`
  bool handle_gone = false;  // guarded by `lock`
  std::uint16_t budget = 0;  // ready operations left before it must let others run
  spin_lock lock;            // guards done, handle_gone, joiner
  waiter* joiner = nullptr;
  std::coroutine_handle<> resume_at;
  std::coroutine_handle<> root;
  waiter* won = nullptr;  // the node by which the last wait was claimed; null: cancelled
  scheduler* sched = nullptr;
  worker* on = nullptr;  // who runs it, while it runs: spares a thread-local look-up
  context_state* ctx = nullptr;
  goroutine *member_next = nullptr, *member_prev = nullptr;  // of ctx, under its lock
  closure_base* closure = nullptr;
  const goroutine_type* type = nullptr;
  bool observed = false;  // somebody joined it, or its group took its error
#if STRAIT_DIAGNOSTICS
  bare_atomic<const void*> spawned_at;  // a source_location's innards: it is one pointer
  bare_atomic<const void*> waits_at;
  bare_atomic<const void*> waits_for;  // the channel, mutex, ...: an address to tell them apart
  bare_atomic<wait_reason> reason;
#endif

  void born(std::uint32_t owner, bool in_root = false) noexcept {
#if STRAIT_DIAGNOSTICS
    waits_at.store(nullptr);
    waits_for.store(nullptr);
    reason.store(wait_reason::none);
#endif
    const std::uint32_t kind = (has(daemon) ? daemon_bit : 0) | (in_root ? root_bit : 0);
    park.store(alive_bit | kind | (owner << owner_shift), std::memory_order_release);
  }

  bool has(flag f) const noexcept { return (flags & f) != 0; }

  /// Whether a wait that begins now must throw.
  bool cancel_pending() const noexcept {
    return (park.load(std::memory_order_relaxed) & cancel_bit) != 0 && shields == 0;
  }

  /// Begins a wait; false when the goroutine is cancelled instead. Called under the lock of the
  /// first queue, before the node is linked.
  bool begin_wait() noexcept {
    const std::uint32_t state = shields == 0 ? waiting : waiting_shielded;
    std::uint32_t seen = park.load(std::memory_order_relaxed);
    for (;;) {
      if ((seen & cancel_bit) != 0 && shields == 0) return false;
      if (park.compare_exchange(seen, seen | state, std::memory_order_acq_rel)) return true;
    }
  }

  /// Takes the right to end the wait. `by` is the node that won.
  bool claim(waiter* by) noexcept {
    std::uint32_t seen = park.load(std::memory_order_relaxed);
    while ((seen & states) != 0) {
      if (park.compare_exchange(seen, seen & ~states, std::memory_order_acq_rel)) {
        won = by;
        return true;
      }
    }
    return false;
  }

  /// Marks the goroutine as cancelled and claims its wait, if it is in one that is not shielded.
  bool claim_cancel() noexcept {
    std::uint32_t seen = park.fetch_or(cancel_bit, std::memory_order_acq_rel) | cancel_bit;
    while ((seen & states) == waiting) {
      if (park.compare_exchange(seen, seen & ~states, std::memory_order_acq_rel)) {
        won = nullptr;
        return true;
      }
    }
    return false;
  }

  /// Ends a wait that was begun but whose node was not linked (something was ready after all).
  bool abandon_wait(waiter* by) noexcept { return claim(by); }

  void note(wait_reason why, const void* what) noexcept {
#if STRAIT_DIAGNOSTICS
    reason.store(why);
    waits_for.store(what);
#else
    (void)why, (void)what;
#endif
  }
  void at(const std::source_location& where) noexcept {
#if STRAIT_DIAGNOSTICS
    static_assert(sizeof(std::source_location) == sizeof(const void*));
    waits_at.store(__builtin_bit_cast(const void*, where));
#else
    (void)where;
#endif
  }
  using place = const void*;
  place waits_where() const noexcept {
#if STRAIT_DIAGNOSTICS
    return waits_at.load();
#else
    return nullptr;
#endif
  }
  void waits_where([[maybe_unused]] place p) noexcept {
#if STRAIT_DIAGNOSTICS
    waits_at.store(p);
#endif
  }
  place spawned_where() const noexcept {
#if STRAIT_DIAGNOSTICS
    return spawned_at.load();
#else
    return nullptr;
#endif
  }
  void spawned(const std::source_location& where) noexcept {
#if STRAIT_DIAGNOSTICS
    spawned_at.store(__builtin_bit_cast(const void*, where));
#else
    (void)where;
#endif
  }
};

/// Goroutines that were claimed and wait to be made ready, in order, once a lock is released.
class ready_list {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  void push(goroutine* g) noexcept {
    g->next = nullptr;
    (tail_ != nullptr ? tail_->next : head_) = g;
    tail_ = g;
  }
  /// Takes over all of the other, which ends up empty.
  void append(ready_list& other) noexcept {
    if (other.empty()) return;
    (tail_ != nullptr ? tail_->next : head_) = other.head_;
    tail_ = other.tail_;
    other.head_ = other.tail_ = nullptr;
  }
  goroutine* pop() noexcept {
    goroutine* const g = head_;
    if (g != nullptr) {
      head_ = g->next;
      if (head_ == nullptr) tail_ = nullptr;
      g->next = nullptr;
    }
    return g;
  }

 private:
  goroutine* head_ = nullptr;
  goroutine* tail_ = nullptr;
};

}  // namespace strait::inline STRAIT_ABI::detail
