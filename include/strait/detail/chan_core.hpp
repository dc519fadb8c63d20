// What a channel is: one small lock, a ring, two FIFO queues of waiters, and counts of handles.
//
// Go's design (runtime/chan.go), with closing by reference count and with room for a link to
// another machine.
//
// Invariants, under `lock`
// - A receiver waits only if there is no value (ring, returned and senders are empty) and the
//   channel has not ended; a sender waits only if there is no room. A value goes straight from a
//   sender's frame to a waiting receiver's, or from a waiting sender's to the ring's freed slot, so
//   order is FIFO.
// - Waiters are claimed (goroutine.hpp) before anything is moved: a case of a select that lost and
//   a cancelled operation have taken nothing.
// - An end is seen only after all values, including those handed out by `take` and not yet
//   settled, which may come back to the front, and those still under way from remote senders.
// - Wake-ups happen after unlock.
// Handles are counted outside the lock: senders in the low half, receivers in the high half of one
// word, so a chan<T> (both) costs one locked add to copy. The group of senders and the group of
// receivers hold one reference on the memory each, as shared_ptr does for its weak count.
//
// A link (the transport's end of a channel that leads away) is told what only it needs to know,
// on paths behind one predicted branch:
// - *outbox* (behind a dialled sender): room is what the far home granted (`limit`), not the ring;
// - *inbox* (behind a dialled receiver): each value has a token by which it is acknowledged.
//
// Rejected: a lock-free ring (fetch-and-add cells): 39 ns against 41 for a lock at 64 threads, and
// an exact select over it costs more than the lock does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <utility>

#include <strait/detail/wait_op.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI {

/// In place of a capacity: a channel whose sends never wait. Memory is the bound: a program that
/// sends faster than it receives runs out of it, and ends. It is given back when the channel runs
/// empty.
struct unbounded_t {
  explicit unbounded_t() = default;
};
inline constexpr unbounded_t unbounded{};

}  // namespace strait::inline STRAIT_ABI

namespace strait::inline STRAIT_ABI::detail {

/// How a delivery ended.
enum class verdict : std::uint8_t { ack, give_back, reject };

/// The transport's side of a channel end. Called under the channel's lock, so: no channel
/// operation in here; marking something and making a goroutine ready are fine.
struct chan_link {
  virtual ~chan_link() = default;
  /// Inbox: a value went to a goroutine; with `leased` it is still to be settled.
  virtual void popped(std::uint64_t token, bool leased) noexcept = 0;
  /// Inbox: somebody waits, or asked in passing, and there is nothing.
  virtual void starving() noexcept = 0;
  /// Inbox: a delivery was settled; after `delay` nanoseconds if it is to be given again. False
  /// if it is no longer ours: its connection is gone, and the home gave it to somebody else.
  virtual bool settled(std::uint64_t token, verdict v, nanos delay) noexcept = 0;
  /// Inbox: the last receiver here left. Outbox: somebody waits in flush.
  virtual void receivers_gone() noexcept = 0;
  virtual void flush_wanted() noexcept = 0;
  /// Extends a lease.
  virtual void extend(std::uint64_t token, nanos by) noexcept = 0;
};

/// Somebody with values still under way into a channel: a link of a remote sender. The channel's
/// end waits for it, so close is a barrier. Called under the channel's lock, as `chan_link` is.
struct late_sender {
  late_sender *next_late = nullptr, *prev_late = nullptr;
  /// `why`: null if it was closed in order.
  virtual void channel_closed(const std::exception_ptr& why) noexcept = 0;

 protected:
  ~late_sender() = default;
};

enum class op_status : std::uint8_t { pending, done, ended, closed, no_receiver };

struct flush_node : waiter {
  std::uint64_t upto = 0;
};

struct chan_core {
  static constexpr std::uint64_t sender_unit = 1, receiver_unit = std::uint64_t{1} << 32;
  static constexpr std::uint32_t unbounded = UINT32_MAX;  // as `capacity`: the ring grows

  chan_core() = default;
  chan_core(const chan_core&) = delete;
  chan_core& operator=(const chan_core&) = delete;
  virtual ~chan_core() = default;

  spin_lock lock;
  bool closed = false;  // no more sends; what is in it can still be received
  bool receivers_gone = false;
  bool sender_lost = false;  // a sender left out of order: the end will be `lost`
  bool outbox = false;
  std::uint32_t capacity = 0;              // what the user asked for
  atomic<std::uint64_t> head{0}, tail{0};  // values received from and put into the ring, ever
  atomic<std::uint32_t> returned_size{0};
  std::uint32_t leased = 0;  // deliveries that are not settled
  wait_queue receivers, senders;
  late_sender* late = nullptr;  // who may still bring in values after a close
  std::exception_ptr error;     // why it ended, if not in order
  chan_link* link = nullptr;
  std::shared_ptr<void> link_owner;  // of `link`, which is called as long as there are handles
  bool senders_left = false;         // closed by the last sender's leaving, not by a call
  std::uint64_t limit = 0;           // outbox: `tail` may go up to here
  std::uint64_t accepted = 0;        // outbox: the home has this many
  wait_queue flushers;
  atomic<std::uint64_t> handles{0};
  atomic<std::uint32_t> refs{0};

  std::size_t size() const noexcept {
    const std::uint64_t h = head.load(std::memory_order_relaxed);
    const std::uint64_t t = tail.load(std::memory_order_relaxed);
    return static_cast<std::size_t>(t - h) + returned_size.load(std::memory_order_relaxed);
  }
  bool has_end() const noexcept { return closed && leased == 0 && late == nullptr; }

  void retain() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  void add(std::uint64_t units) noexcept { handles.fetch_add(units, std::memory_order_relaxed); }
  void drop(std::uint64_t units) noexcept {
    const std::uint64_t before = handles.fetch_sub(units, std::memory_order_acq_rel);
    const std::uint64_t left = before - units;
    if ((units & 0xffffffff) != 0 && (left & 0xffffffff) == 0) {
      last_sender_left();
      release();
    }
    if ((units >> 32) != 0 && (left >> 32) == 0) {
      last_receiver_left();
      release();
    }
  }

  /// Ends the channel; false if it had ended before.
  bool close(std::exception_ptr why = nullptr, bool by_leaving = false) noexcept {
    ready_list woken;
    lock.lock();
    const bool first = !closed;
    if (first) {
      closed = true;
      senders_left = by_leaving;
      error = std::move(why);
      wake_senders(op_status::closed, woken);
      for (late_sender* l = late; l != nullptr; l = l->next_late) l->channel_closed(error);
      wake_receivers_at_end(woken);
      while (waiter* const w = pop_claimed(flushers)) woken.push(w->g);
    }
    lock.unlock();
    scheduler::ready_all(woken);
    return first;
  }

  void add_late(late_sender* l) noexcept {
    lock.lock();
    l->next_late = late;
    if (late != nullptr) late->prev_late = l;
    late = l;
    if (closed) l->channel_closed(error);
    lock.unlock();
  }
  void remove_late(late_sender* l) noexcept {
    ready_list woken;
    lock.lock();
    (l->prev_late != nullptr ? l->prev_late->next_late : late) = l->next_late;
    if (l->next_late != nullptr) l->next_late->prev_late = l->prev_late;
    wake_receivers_at_end(woken);
    lock.unlock();
    scheduler::ready_all(woken);
  }

  /// Ends a delivery; false if it was not ours any more.
  bool settle(std::uint64_t token, verdict v, nanos delay = 0) noexcept {
    ready_list woken;
    lock.lock();
    --leased;
    const bool ours = link == nullptr || link->settled(token, v, delay);
    wake_receivers_at_end(woken);
    lock.unlock();
    scheduler::ready_all(woken);
    return ours;
  }

  /// Outbox: the home has queued the first `n` values.
  void accept(std::uint64_t n) noexcept {
    ready_list woken;
    lock.lock();
    if (n > accepted) accepted = n;
    while (waiter* const w = flushers.front()) {
      if (static_cast<flush_node*>(w)->upto > accepted) break;
      flushers.remove(w);
      if (w->g->claim(w)) woken.push(w->g);
    }
    lock.unlock();
    scheduler::ready_all(woken);
  }

  void wake_receivers_at_end(ready_list& woken) noexcept;

 private:
  void wake_senders(op_status why, ready_list& woken) noexcept;
  void last_sender_left() noexcept {
    close(sender_lost ? std::make_exception_ptr(
                            lost("strait: a sender of the channel was lost, with what it had "
                                 "still to send"))
                      : nullptr,
          true);
  }
  void last_receiver_left() noexcept {
    ready_list woken;
    lock.lock();
    receivers_gone = true;
    wake_senders(op_status::no_receiver, woken);
    if (link != nullptr) link->receivers_gone();
    lock.unlock();
    scheduler::ready_all(woken);
  }
};

/// A waiting (or trying) send: where its value is.
struct send_node_base : waiter {
  op_status status = op_status::pending;
  bool late = false;  // sent before the close, on another machine: it still goes in
};
template <class T>
struct send_node : send_node_base {
  T* value = nullptr;
};

/// A waiting (or trying) receive: where the value goes.
struct recv_node_base : waiter {
  op_status status = op_status::pending;
  bool take = false;  // it is a lease_node
};
template <class T>
struct recv_node : recv_node_base {
  recv_node() noexcept {}
  recv_node(recv_node&& other) noexcept : recv_node_base(other) {}  // only before it is awaited
  recv_node& operator=(recv_node&&) = delete;
  ~recv_node() {
    if (status == op_status::done) slot.~T();
  }
  void put(T&& v) noexcept {
    ::new (static_cast<void*>(&slot)) T(std::move(v));
    status = op_status::done;
  }
  union {
    T slot;
  };
};
template <class T>
struct lease_node : recv_node<T> {
  std::uint64_t token = 0;
  std::uint32_t attempt = 1;
};

inline void chan_core::wake_senders(op_status why, ready_list& woken) noexcept {
  wait_queue stay;
  while (waiter* const w = senders.pop_front()) {
    auto* const s = static_cast<send_node_base*>(w);
    if (s->late && why == op_status::closed) {
      stay.push_back(w);
    } else if (w->g->claim(w)) {
      s->status = why;
      woken.push(w->g);
    }
  }
  senders = stay;
}
inline void chan_core::wake_receivers_at_end(ready_list& woken) noexcept {
  if (receivers.empty() || !has_end() || size() != 0) return;
  while (waiter* const w = pop_claimed(receivers)) {
    static_cast<recv_node_base*>(w)->status = op_status::ended;
    woken.push(w->g);
  }
}

}  // namespace strait::inline STRAIT_ABI::detail
