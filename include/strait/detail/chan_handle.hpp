// What chan<T>, sender<T> and receiver<T> have in common: a counted reference to a channel.
//
// Copying adds to the channel's counts of senders and receivers, destroying takes off; a move
// leaves nil behind and counts nothing. The last of a direction to go ends something: see
// chan_state.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include <strait/detail/chan_state.hpp>

namespace strait::inline STRAIT_ABI::detail {

struct chan_access;

struct any_chan_handle {};

/// A counted reference to a channel, in the directions that `Units` counts; null is nil.
template <class T, std::uint64_t Units>
class chan_handle : public any_chan_handle {
 public:
  using value_type = T;

  chan_handle() noexcept = default;
  chan_handle(const chan_handle& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add(Units);
  }
  chan_handle(chan_handle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  chan_handle& operator=(chan_handle other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~chan_handle() {
    if (state_ != nullptr) state_->drop(Units);
  }

  /// False for a nil channel: one that is never ready.
  explicit operator bool() const noexcept { return state_ != nullptr; }
  /// Values waiting in the channel; a snapshot. 0 for nil and for capacity 0.
  std::size_t len() const noexcept { return state_ != nullptr ? state_->size() : 0; }
  /// The capacity it was made with; SIZE_MAX if it is unbounded.
  std::size_t cap() const noexcept {
    if (state_ == nullptr) return 0;
    return state_->capacity == chan_core::unbounded ? SIZE_MAX : state_->capacity;
  }

 protected:
  friend chan_access;
  /// Adopts a counted reference.
  struct adopted {
    chan_state<T>* state;
  };
  explicit chan_handle(adopted a) noexcept : state_(a.state) {}

  chan_state<T>* state_ = nullptr;
};

/// The way from handles to what they refer to, for the library's other rooms.
struct chan_access {
  template <class H>
  static auto* state(const H& h) noexcept {
    return h.state_;
  }
  template <class H, class T>
  static H adopt(chan_state<T>* s) noexcept {
    return H(typename H::adopted{s});
  }
  /// A new channel with one handle of each direction counted.
  template <class T>
  static chan_state<T>* make(std::size_t capacity) {
    return counted(new chan_state<T>(capacity));
  }
  template <class T>
  static chan_state<T>* make(unbounded_t) {
    return counted(new chan_state<T>(unbounded));
  }

 private:
  template <class T>
  static chan_state<T>* counted(chan_state<T>* s) noexcept {
    s->refs.store(2, std::memory_order_relaxed);
    s->handles.store(chan_core::sender_unit + chan_core::receiver_unit, std::memory_order_relaxed);
    return s;
  }
};

/// The hash of any handle: the same for all that refer to one channel.
struct chan_hash {
  template <class Handle>
  std::size_t operator()(const Handle& c) const noexcept {
    return std::hash<const void*>()(chan_access::state(c));
  }
};

}  // namespace strait::inline STRAIT_ABI::detail
