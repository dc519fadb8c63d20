// Typed channels: chan<T> and its two ends, sender<T> and receiver<T>.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <strait/delivery.hpp>
#include <strait/detail/chan_handle.hpp>
#include <strait/detail/chan_ops.hpp>
#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI {

template <class T>
class chan;
template <class T>
class sender;
template <class T>
class receiver;

/// How a `try_send` went.
enum class send_result : unsigned char { sent, full, closed };

namespace detail {

template <class T, class Self>
struct send_side {
  /// Sends a copy of `v`, made now. Suspends while there is no room (or, at capacity 0, nobody
  /// receives); a receiver resumes it. Throws `closed` if the channel is closed, before or
  /// meanwhile, or nobody can receive any more; `failed` or `lost` if it ended so.
  detail::send_op<T> send(const T& v) const { return detail::send_op<T>(self(), v); }
  /// Sends `v`, moving from it when the send is done and only then: if it throws, is cancelled or
  /// loses a select, the caller still has the value.
  detail::send_ref_op<T> send(T&& v) const noexcept { return detail::send_ref_op<T>(self(), v); }
  /// Sends a T built now from `args`.
  template <class... Args>
    requires std::is_constructible_v<T, Args&&...> &&
             (!(sizeof...(Args) == 1 && (std::is_same_v<std::remove_cvref_t<Args>, T> && ...)))
  detail::send_op<T> send(Args&&... args) const {
    return detail::send_op<T>(self(), std::forward<Args>(args)...);
  }
  /// Sends all values, in order, moving from each as it goes; one lock for as many as there is room
  /// for. Gives their number; throws as `send` does, the unsent rest untouched.
  task<std::size_t> send_many(std::span<T> values) const {
    return detail::send_many<T>(self(), values);
  }
  /// Sends now or not at all; never suspends, works on any thread. Moves from `v` only if sent.
  send_result try_send(T&& v) const noexcept { return try_send_value(v); }
  send_result try_send(const T& v) const {
    T copy(v);
    return try_send_value(copy);
  }
  /// Waits until the channel's home has queued everything sent through this end. Immediate near by.
  detail::flush_op<T> flush() const noexcept { return detail::flush_op<T>(self()); }
  /// Ends the channel: receivers get what is in it and then the end; senders that wait throw
  /// `closed`. May be repeated; returns whether this was the first time as far as this process
  /// knows. Throws `closed` on a nil channel.
  bool close() const {
    if (self() == nullptr)
      throw channel_error(channel_errc::closed, "strait: close of nil channel");
    return self()->close();
  }
  /// The same with an error: receivers get what is in it and then, instead of the end, a `failed`
  /// that says `error`; so do senders.
  bool close(const std::string& error) const {
    if (self() == nullptr)
      throw channel_error(channel_errc::closed, "strait: close of nil channel");
    return self()->close(std::make_exception_ptr(failed(error)));
  }

 private:
  detail::chan_state<T>* self() const noexcept {
    return chan_access::state(static_cast<const Self&>(*this));
  }
  send_result try_send_value(T& v) const noexcept {
    detail::send_node<T> node;
    node.value = &v;
    if (!detail::try_now(self(), node,
                         [](auto& c, auto& n, auto& w) { return c.send_locked(n, w); })) {
      return send_result::full;
    }
    return node.status == detail::op_status::done ? send_result::sent : send_result::closed;
  }
};

template <class T, class Self>
struct recv_side {
  /// Receives a value, in the order sent. Suspends while there is none; a sender resumes it. Empty
  /// when the channel is closed and drained. Throws `failed` or `lost`, after draining, if it ended
  /// so: an error never looks like an end.
  detail::recv_op<T> recv() const noexcept { return detail::recv_op<T>(self()); }
  /// Receives a value that stays the channel's until it is acked (see `delivery`).
  detail::take_op<T> take() const noexcept { return detail::take_op<T>(self()); }
  /// Receives 1 to `most` values: waits for the first, takes what else is there. Empty at the end.
  detail::recv_many_op<T> recv_many(std::size_t most) const noexcept {
    return detail::recv_many_op<T>(self(), most);
  }
  /// Receives now or not at all; never suspends, works on any thread. Throws as `recv` does.
  received<T> try_recv() const {
    detail::recv_node<T> node;
    if (!detail::try_now(self(), node,
                         [](auto& c, auto& n, auto& w) { return c.recv_locked(n, w); })) {
      return received<T>::nothing_yet();
    }
    if (node.status == detail::op_status::done) return received<T>(std::move(node.slot));
    if (self()->error) std::rethrow_exception(self()->error);
    return received<T>();
  }

 private:
  detail::chan_state<T>* self() const noexcept {
    return chan_access::state(static_cast<const Self&>(*this));
  }
};

}  // namespace detail

/// The sending end of a channel: cheap to copy. When the last handle that could send is gone, the
/// channel closes.
template <class T>
class sender : public detail::chan_handle<T, detail::chan_core::sender_unit>,
               public detail::send_side<T, sender<T>> {
  using base = detail::chan_handle<T, detail::chan_core::sender_unit>;

 public:
  sender() noexcept = default;
  sender(const chan<T>& c) noexcept;  // NOLINT: implicit, as in Go
  sender(chan<T>&& c) noexcept;

 private:
  friend detail::chan_access;
  using base::base;
  using typename base::adopted;
};

/// The receiving end of a channel: cheap to copy; copies compete for the values. When the last
/// handle that could receive is gone, sends throw `closed` and keep their values.
template <class T>
class receiver : public detail::chan_handle<T, detail::chan_core::receiver_unit>,
                 public detail::recv_side<T, receiver<T>> {
  using base = detail::chan_handle<T, detail::chan_core::receiver_unit>;

 public:
  receiver() noexcept = default;
  receiver(const chan<T>& c) noexcept;  // NOLINT: implicit, as in Go
  receiver(chan<T>&& c) noexcept;

 private:
  friend detail::chan_access;
  using base::base;
  using typename base::adopted;
};

/// A channel in both directions: a cheap, copyable handle that counts as a sender and a receiver.
/// Converts to `sender<T>` or `receiver<T>`, never back. `chan<T>{}` is nil: its operations wait
/// for ever (a cancellation ends them) and select ignores it.
template <class T>
class chan : public detail::chan_handle<T, detail::chan_core::sender_unit +
                                               detail::chan_core::receiver_unit>,
             public detail::send_side<T, chan<T>>,
             public detail::recv_side<T, chan<T>> {
  using base =
      detail::chan_handle<T, detail::chan_core::sender_unit + detail::chan_core::receiver_unit>;

 public:
  chan() noexcept = default;
  /// A channel that buffers `capacity` values; 0 is a rendezvous: a send ends when a receiver has
  /// the value. Throws std::length_error if that is more than memory could hold.
  explicit chan(std::size_t capacity)
      : base(typename base::adopted{detail::chan_access::make<T>(capacity)}) {}
  /// A channel whose sends never wait: `chan<T>(st::unbounded)`.
  explicit chan(unbounded_t)
      : base(typename base::adopted{detail::chan_access::make<T>(unbounded)}) {}

 private:
  friend detail::chan_access;
  friend sender<T>;
  friend receiver<T>;
  using base::base;
  using typename base::adopted;
};

template <class T>
sender<T>::sender(const chan<T>& c) noexcept : base(typename base::adopted{c.state_}) {
  if (c.state_ != nullptr) c.state_->add(detail::chan_core::sender_unit);
}
template <class T>
sender<T>::sender(chan<T>&& c) noexcept
    : base(typename base::adopted{std::exchange(c.state_, nullptr)}) {
  if (this->state_ != nullptr) this->state_->drop(detail::chan_core::receiver_unit);
}
template <class T>
receiver<T>::receiver(const chan<T>& c) noexcept : base(typename base::adopted{c.state_}) {
  if (c.state_ != nullptr) c.state_->add(detail::chan_core::receiver_unit);
}
template <class T>
receiver<T>::receiver(chan<T>&& c) noexcept
    : base(typename base::adopted{std::exchange(c.state_, nullptr)}) {
  if (this->state_ != nullptr) this->state_->drop(detail::chan_core::sender_unit);
}

/// The two ends of a new channel, sending end first, and no third handle that keeps it open.
template <class T>
struct chan_ends {
  sender<T> in;
  receiver<T> out;
};
namespace detail {
template <class T>
chan_ends<T> ends_of(chan_state<T>* s) noexcept {
  return {chan_access::adopt<sender<T>>(s), chan_access::adopt<receiver<T>>(s)};
}
}  // namespace detail
template <class T>
chan_ends<T> make_chan(std::size_t capacity = 0) {
  return detail::ends_of(detail::chan_access::make<T>(capacity));
}
template <class T>
chan_ends<T> make_chan(unbounded_t) {
  return detail::ends_of(detail::chan_access::make<T>(unbounded));
}

/// Handles are equal when they refer to the same channel, whatever their direction.
template <class A, class B>
  requires std::derived_from<A, detail::any_chan_handle> &&
           std::derived_from<B, detail::any_chan_handle> &&
           std::is_same_v<typename A::value_type, typename B::value_type>
bool operator==(const A& a, const B& b) noexcept {
  return detail::chan_access::state(a) == detail::chan_access::state(b);
}

}  // namespace strait::inline STRAIT_ABI

template <class T>
struct std::hash<strait::chan<T>> : strait::detail::chan_hash {};
template <class T>
struct std::hash<strait::sender<T>> : strait::detail::chan_hash {};
template <class T>
struct std::hash<strait::receiver<T>> : strait::detail::chan_hash {};
