// The operations on a channel, as awaitables and as select cases.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <strait/delivery.hpp>
#include <strait/detail/chan_state.hpp>
#include <strait/task.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Throws what a send that was not done has to say.
[[noreturn]] inline void throw_send_error(op_status status, const chan_core& c) {
  if (status == op_status::closed && c.error) std::rethrow_exception(c.error);
  throw closed(status == op_status::no_receiver ? channel_errc::no_receiver : channel_errc::closed);
}

/// Throws `cancelled` if the goroutine is, for an operation that has met the end of its channel:
/// that may be the doing of a neighbour which left because of the same cancellation, and has no
/// meaning.
inline void not_by_cancellation(goroutine* g) {
  if (g->cancel_pending()) throw_cancelled(g);
}

/// A send. `Derived` owns the value or refers to it.
template <class T, class Derived>
struct basic_send_op : wait_op<Derived, send_node<T>> {
  static constexpr wait_reason reason = wait_reason::send;

  explicit basic_send_op(chan_state<T>* c) noexcept : chan_(c) {}

  spin_lock* queue_lock() const noexcept { return chan_ != nullptr ? &chan_->lock : nullptr; }
  bool try_locked(ready_list& woken) noexcept {
    this->value = static_cast<Derived*>(this)->source();
    return chan_->send_locked(*this, woken);
  }
  void link_locked() noexcept { chan_->senders.push_back(this); }
  void unlink_locked() noexcept { chan_->senders.remove(this); }
  void result() {
    if (this->status == op_status::done) return;
    not_by_cancellation(this->g_);
    throw_send_error(this->status, *chan_);
  }
  const void* subject() const noexcept { return chan_; }

 protected:
  chan_state<T>* chan_;
};

/// One send or receive by any thread, now or not at all; false if it cannot be done now (never on a
/// nil channel).
template <class T, class Node, class Locked>
bool try_now(chan_state<T>* c, Node& node, Locked locked) {
  if (c == nullptr) return false;
  ready_list woken;
  c->lock.lock();
  const bool done = locked(*c, node, woken);
  c->lock.unlock();
  scheduler::ready_all(woken);
  return done;
}

/// A send that owns its value, built at the call.
template <class T>
struct send_op : basic_send_op<T, send_op<T>> {
  template <class... Args>
  explicit send_op(chan_state<T>* c, Args&&... args)
      : basic_send_op<T, send_op<T>>(c), held_(std::forward<Args>(args)...) {}
  T* source() noexcept { return std::addressof(held_); }

 private:
  T held_;
};

/// A send that refers to the caller's value and moves it when it is chosen, only then.
template <class T>
struct send_ref_op : basic_send_op<T, send_ref_op<T>> {
  send_ref_op(chan_state<T>* c, T& v) noexcept
      : basic_send_op<T, send_ref_op<T>>(c), source_(std::addressof(v)) {}
  T* source() noexcept { return source_; }
  /// The same send with the value moved into the operation.
  send_op<T> owning() && { return send_op<T>(this->chan_, std::move(*source_)); }

 private:
  T* source_;
};

template <class T, class Derived, class Node>
struct basic_recv_op : wait_op<Derived, Node> {
  static constexpr wait_reason reason = wait_reason::receive;

  explicit basic_recv_op(chan_state<T>* c) noexcept : chan_(c) {}

  spin_lock* queue_lock() const noexcept { return chan_ != nullptr ? &chan_->lock : nullptr; }
  bool try_locked(ready_list& woken) noexcept { return chan_->recv_locked(*this, woken); }
  void link_locked() noexcept { chan_->receivers.push_back(this); }
  void unlink_locked() noexcept { chan_->receivers.remove(this); }
  const void* subject() const noexcept { return chan_; }

 protected:
  /// Whether there is a value; throws if the channel failed or was lost.
  bool has_value() const {
    if (this->status == op_status::done) return true;
    not_by_cancellation(this->g_);
    if (chan_->error) std::rethrow_exception(chan_->error);
    return false;
  }
  chan_state<T>* chan_;
};

template <class T>
struct recv_op : basic_recv_op<T, recv_op<T>, recv_node<T>> {
  using basic_recv_op<T, recv_op<T>, recv_node<T>>::basic_recv_op;
  received<T> result() {
    return this->has_value() ? received<T>(std::move(this->slot)) : received<T>();
  }
};

template <class T>
struct take_op : basic_recv_op<T, take_op<T>, lease_node<T>> {
  explicit take_op(chan_state<T>* c) noexcept : basic_recv_op<T, take_op<T>, lease_node<T>>(c) {
    this->recv_node_base::take = true;
  }
  take_op(take_op&&) noexcept = default;
  take_op& operator=(take_op&&) = delete;
  ~take_op() {  // handed to us, but nobody asked for the result: give it back
    if (this->status == op_status::done && !given_) static_cast<void>(result());
  }
  delivery<T> result() {
    if (!this->has_value()) return delivery<T>();
    given_ = true;
    return delivery<T>(std::move(this->slot), this->chan_, this->token, this->attempt);
  }

 private:
  bool given_ = false;
};

/// Up to `most` values at once: waits for the first, then takes what is there.
template <class T>
struct recv_many_op : basic_recv_op<T, recv_many_op<T>, recv_node<T>> {
  recv_many_op(chan_state<T>* c, std::size_t most) noexcept
      : basic_recv_op<T, recv_many_op<T>, recv_node<T>>(c), most_(most) {}
  std::vector<T> result() {
    std::vector<T> values;
    if (!this->has_value()) return values;
    values.reserve(std::min(most_, this->chan_->size() + 1));
    values.push_back(std::move(this->slot));
    drain_into(*this->chan_, values, values.capacity());
    return values;
  }

  /// Takes values without waiting, under one lock, while `values` holds fewer than `most`.
  static void drain_into(chan_state<T>& c, std::vector<T>& values, std::size_t most) {
    ready_list woken;
    c.lock.lock();
    while (values.size() < most) {
      recv_node<T> node;
      if (!c.recv_locked(node, woken) || node.status != op_status::done) break;
      values.push_back(std::move(node.slot));
    }
    c.lock.unlock();
    scheduler::ready_all(woken);
  }

 private:
  std::size_t most_;
};

template <class T>
struct flush_op : wait_op<flush_op<T>, flush_node> {
  static constexpr wait_reason reason = wait_reason::flush;

  explicit flush_op(chan_state<T>* c) noexcept : chan_(c) {}
  spin_lock* queue_lock() const noexcept { return chan_ != nullptr ? &chan_->lock : nullptr; }
  bool try_locked(ready_list&) noexcept {
    this->upto = chan_->tail.load(std::memory_order_relaxed);
    if (!chan_->outbox || chan_->accepted >= this->upto || chan_->error) return true;
    chan_->link->flush_wanted();
    return false;
  }
  void link_locked() noexcept { chan_->flushers.push_back(this); }
  void unlink_locked() noexcept { chan_->flushers.remove(this); }
  void result() {
    if (chan_->outbox && chan_->accepted < this->upto && chan_->error) {
      std::rethrow_exception(chan_->error);
    }
  }
  const void* subject() const noexcept { return chan_; }

 private:
  chan_state<T>* chan_;
};

template <class T>
task<std::size_t> send_many(chan_state<T>* c, std::span<T> values) {
  for (std::size_t i = 0; i < values.size();) {
    if (c != nullptr) {
      ready_list woken;
      c->lock.lock();
      for (; i < values.size(); ++i) {
        send_node<T> node;
        node.value = &values[i];
        if (!c->send_locked(node, woken) || node.status != op_status::done) break;
      }
      c->lock.unlock();
      scheduler::ready_all(woken);
    }
    if (i < values.size()) {
      co_await send_ref_op<T>(c, values[i]);
      ++i;
    }
  }
  co_return values.size();
}

}  // namespace strait::inline STRAIT_ABI::detail
