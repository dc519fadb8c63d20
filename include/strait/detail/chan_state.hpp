// A channel of T: the ring, what was given back, and the moves of values between them and the
// frames of senders and receivers. The invariants stand in chan_core.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <strait/detail/chan_core.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// What travels with a value in an inbox, or with one that was given back.
struct item_note {
  std::uint64_t token = 0;
  std::uint32_t attempt = 1;
};

template <class T>
struct chan_state final : chan_core {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "strait: a channel carries objects: chan<T> with a plain T");
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "strait: a channel's T must be nothrow-move-constructible: a hand-over cannot fail "
                "half-way. Send a std::unique_ptr<T> instead");

  struct returned_node {
    T value;
    item_note note;
    std::unique_ptr<returned_node> next;
  };

  explicit chan_state(std::size_t n) {
    if (n >= unbounded || n > SIZE_MAX / (2 * sizeof(T))) {
      throw std::length_error("strait: channel capacity out of range");
    }
    capacity = static_cast<std::uint32_t>(n);
    grow(capacity);
  }
  explicit chan_state(unbounded_t) noexcept { capacity = unbounded; }
  ~chan_state() override {
    while (head.load(std::memory_order_relaxed) != tail.load(std::memory_order_relaxed)) drop_one();
    while (returned_) returned_ = std::move(returned_->next);  // not by recursion
  }

  /// Makes room for `n` values in the ring; never shrinks. Under the lock, or before sharing.
  void grow(std::uint32_t n) {
    if (n <= ring_size_) return;
    std::unique_ptr<cell[]> bigger(new cell[n]);
    std::unique_ptr<item_note[]> notes(link != nullptr ? new item_note[n] : nullptr);
    const std::uint64_t count =
        tail.load(std::memory_order_relaxed) - head.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < count; ++i) {
      ::new (static_cast<void*>(&bigger[i].value)) T(std::move(ring_[head_at_].value));
      if (notes && notes_) notes[i] = notes_[head_at_];
      ring_[head_at_].value.~T();
      head_at_ = head_at_ + 1 == ring_size_ ? 0 : head_at_ + 1;
    }
    ring_ = std::move(bigger);
    notes_ = std::move(notes);
    ring_size_ = n;
    head_at_ = 0;
    tail_at_ = count == n ? 0 : static_cast<std::uint32_t>(count);
  }

  bool has_room() const noexcept {
    const std::uint64_t t = tail.load(std::memory_order_relaxed);
    if (outbox) [[unlikely]] {
      return t < limit && t - head.load(std::memory_order_relaxed) < ring_size_;
    }
    return t - head.load(std::memory_order_relaxed) < capacity;
  }

  /// Does the send if it can, or finds that it never can (status tells).
  bool send_locked(send_node<T>& op, ready_list& woken) noexcept {
    if ((closed && !op.late) || receivers_gone) [[unlikely]] {
      op.status = closed && !op.late ? op_status::closed : op_status::no_receiver;
      return true;
    }
    if (!receivers.empty() && (!outbox || has_room())) {
      if (waiter* const w = pop_claimed(receivers)) {
        auto* const r = static_cast<recv_node<T>*>(static_cast<recv_node_base*>(w));
        hand(*r, std::move(*op.value), {});
        if (outbox) count_passed();
        woken.push(w->g);
        op.status = op_status::done;
        return true;
      }
    }
    if (!has_room()) return false;
    if (capacity == unbounded && !outbox) [[unlikely]] {
      make_room();
    }
    push(std::move(*op.value));
    op.status = op_status::done;
    return true;
  }

  /// Does the receive if it can, or finds the end.
  bool recv_locked(recv_node<T>& op, ready_list& woken) noexcept {
    if (returned_) [[unlikely]] {
      std::unique_ptr<returned_node> first = std::move(returned_);
      returned_ = std::move(first->next);
      returned_size.store(returned_size.load(std::memory_order_relaxed) - 1,
                          std::memory_order_relaxed);
      hand(op, std::move(first->value), first->note);
      return true;
    }
    const std::uint64_t h = head.load(std::memory_order_relaxed);
    if (h != tail.load(std::memory_order_relaxed)) {
      hand(op, std::move(ring_[head_at_].value), notes_ ? notes_[head_at_] : item_note{});
      pop_moved();
      if (!senders.empty()) admit(woken);
      return true;
    }
    if (!senders.empty() && !outbox) {  // capacity 0
      if (waiter* const w = pop_claimed(senders)) {
        auto* const s = static_cast<send_node<T>*>(static_cast<send_node_base*>(w));
        hand(op, std::move(*s->value), {});
        s->status = op_status::done;
        woken.push(w->g);
        return true;
      }
    }
    if (has_end()) {
      op.status = op_status::ended;
      return true;
    }
    if (link != nullptr) link->starving();
    return false;
  }

  /// Lets waiting senders in while there is room.
  void admit(ready_list& woken) noexcept {
    while (!senders.empty() && has_room()) {
      waiter* const w = pop_claimed(senders);
      if (w == nullptr) return;
      auto* const s = static_cast<send_node<T>*>(static_cast<send_node_base*>(w));
      // Outbox: senders may have waited for the home's grant while a receiver waited for values.
      waiter* const r = outbox ? pop_claimed(receivers) : nullptr;
      if (r != nullptr) {
        hand(*static_cast<recv_node<T>*>(static_cast<recv_node_base*>(r)), std::move(*s->value),
             {});
        count_passed();
        woken.push(r->g);
      } else {
        push(std::move(*s->value));
      }
      s->status = op_status::done;
      woken.push(w->g);
    }
  }

  /// Puts a value in front of all others (a delivery that was not acked) and wakes a receiver.
  void give_back(std::unique_ptr<returned_node> node) noexcept {
    ready_list woken;
    lock.lock();
    --leased;
    if (link != nullptr) {  // the home has its own copy
      link->settled(node->note.token, verdict::give_back, 0);
      wake_receivers_at_end(woken);
    } else if (waiter* const w = pop_claimed(receivers)) {
      auto* const r = static_cast<recv_node<T>*>(static_cast<recv_node_base*>(w));
      hand(*r, std::move(node->value), node->note);
      woken.push(w->g);
      wake_receivers_at_end(woken);  // that may have been the last one
    } else {
      node->next = std::move(returned_);
      returned_ = std::move(node);
      returned_size.store(returned_size.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
    }
    lock.unlock();
    scheduler::ready_all(woken);
  }

  /// The same for several at once, given in the order in which they are to be received again.
  void give_back_all(std::span<std::unique_ptr<returned_node>> nodes) noexcept {
    ready_list woken;
    lock.lock();
    leased -= static_cast<std::uint32_t>(nodes.size());
    for (std::size_t i = nodes.size(); i-- > 0;) {
      nodes[i]->next = std::move(returned_);
      returned_ = std::move(nodes[i]);
    }
    returned_size.store(
        returned_size.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(nodes.size()),
        std::memory_order_relaxed);
    while (returned_) {
      waiter* const w = pop_claimed(receivers);
      if (w == nullptr) break;
      recv_locked(*static_cast<recv_node<T>*>(static_cast<recv_node_base*>(w)), woken);
      woken.push(w->g);
    }
    wake_receivers_at_end(woken);
    lock.unlock();
    scheduler::ready_all(woken);
  }

  /// Inbox: a value arrived. Under the lock.
  void arrive_locked(T&& v, const item_note& note, ready_list& woken) {
    if (waiter* const w = pop_claimed(receivers)) {
      auto* const r = static_cast<recv_node<T>*>(static_cast<recv_node_base*>(w));
      hand(*r, std::move(v), note);
      woken.push(w->g);
      return;
    }
    make_room();
    notes_[tail_at_] = note;
    push(std::move(v));
  }

  /// Inbox: calls `visit(token)` for what nobody has taken yet, oldest first, and drops it.
  template <class F>
  void withdraw_locked(F&& visit) noexcept {
    while (head.load(std::memory_order_relaxed) != tail.load(std::memory_order_relaxed)) {
      visit(notes_[head_at_].token);
      drop_one();
    }
  }

 private:
  union cell {
    cell() noexcept {}
    ~cell() {}
    T value;
  };

  void hand(recv_node<T>& to, T&& v, const item_note& note) noexcept {
    to.put(std::move(v));
    if (to.take) {
      ++leased;
      auto& lease = static_cast<lease_node<T>&>(to);
      lease.token = note.token;
      lease.attempt = note.attempt;
    }
    if (link != nullptr && !outbox) link->popped(note.token, to.take);
  }
  /// Grows a full ring.
  void make_room() {
    const std::uint64_t count =
        tail.load(std::memory_order_relaxed) - head.load(std::memory_order_relaxed);
    if (count == ring_size_) grow(ring_size_ < 32 ? 64 : 2 * ring_size_);
  }
  void push(T&& v) noexcept {
    ::new (static_cast<void*>(&ring_[tail_at_].value)) T(std::move(v));
    tail_at_ = tail_at_ + 1 == ring_size_ ? 0 : tail_at_ + 1;
    tail.store(tail.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void pop_moved() noexcept {
    ring_[head_at_].value.~T();
    head_at_ = head_at_ + 1 == ring_size_ ? 0 : head_at_ + 1;
    head.store(head.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (ring_size_ > most_kept && capacity == unbounded && !outbox) [[unlikely]] {
      give_memory_back();
    }
  }
  /// An unbounded channel that ran empty after a burst.
  STRAIT_NOINLINE void give_memory_back() noexcept {
    if (head.load(std::memory_order_relaxed) != tail.load(std::memory_order_relaxed)) return;
    ring_.reset();
    notes_.reset();
    ring_size_ = head_at_ = tail_at_ = 0;
  }
  void drop_one() noexcept { pop_moved(); }
  void count_passed() noexcept {
    head.store(head.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    tail.store(tail.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  static constexpr std::uint32_t most_kept = 1024;

  std::uint32_t ring_size_ = 0;
  std::uint32_t head_at_ = 0, tail_at_ = 0;
  std::unique_ptr<cell[]> ring_;
  std::unique_ptr<item_note[]> notes_;  // inbox only
  std::unique_ptr<returned_node> returned_;
};

}  // namespace strait::inline STRAIT_ABI::detail
