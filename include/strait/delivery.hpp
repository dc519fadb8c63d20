// What a receive gives: a value, or a value that must be acknowledged.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <strait/detail/chan_state.hpp>

namespace strait::inline STRAIT_ABI {

/// The outcome of a receive: a value, or nothing because the channel is closed and drained (for
/// `try_recv`: or because there is nothing at the moment; `closed` tells).
template <class T>
class received {
 public:
  received() noexcept = default;
  explicit received(T&& v) noexcept : value_(std::move(v)) {}
  static received nothing_yet() noexcept {
    received r;
    r.closed_ = false;
    return r;
  }

  explicit operator bool() const noexcept { return value_.has_value(); }
  bool has_value() const noexcept { return value_.has_value(); }
  /// Whether the channel has ended. False if there is a value.
  bool closed() const noexcept { return !value_ && closed_; }

  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return std::move(*value_); }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  /// The value; throws std::bad_optional_access if there is none.
  T& value() & { return value_.value(); }
  T&& value() && { return std::move(value_).value(); }
  template <class U>
  T value_or(U&& other) && {
    return std::move(value_).value_or(std::forward<U>(other));
  }

 private:
  std::optional<T> value_;
  bool closed_ = true;
};

/// A value handed out by `take`, which stays the channel's until it is settled: `ack` ends it;
/// `give_back`, or destruction without a settlement, puts it in front of the channel for the next
/// receiver, with `attempt` one higher. Empty (false) when the channel is closed and drained, which
/// it is only when all deliveries are settled. Works the same if the channel leads to another
/// machine: then the home keeps the value until the ack arrives, and gives it to somebody else at
/// once when this process's connection breaks.
template <class T>
class [[nodiscard]] delivery {
 public:
  delivery() noexcept = default;
  delivery(T&& value, detail::chan_state<T>* c, std::uint64_t token, std::uint32_t attempt) noexcept
      : value_(std::move(value)), chan_(c), token_(token), attempt_(attempt) {
    chan_->retain();
  }
  delivery(delivery&& other) noexcept
      : value_(std::move(other.value_)),
        chan_(std::exchange(other.chan_, nullptr)),
        token_(other.token_),
        attempt_(other.attempt_) {}
  delivery& operator=(delivery&& other) noexcept {
    if (this != &other) {
      give_back();
      value_ = std::move(other.value_);
      chan_ = std::exchange(other.chan_, nullptr);
      token_ = other.token_;
      attempt_ = other.attempt_;
    }
    return *this;
  }
  ~delivery() { give_back(); }

  explicit operator bool() const noexcept { return value_.has_value(); }
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  /// 1 for the first time this value is handed out, one more each time it came back.
  std::uint32_t attempt() const noexcept { return attempt_; }
  /// Whether it was not settled yet.
  bool pending() const noexcept { return chan_ != nullptr; }

  /// The value is dealt with. False if it is no longer ours (settled before, or its connection
  /// broke and the home gave it to another receiver).
  bool ack() noexcept { return settle(detail::verdict::ack); }
  /// The value is dealt with by nobody: it is dropped for good.
  bool reject() noexcept { return settle(detail::verdict::reject); }
  /// Puts the value in front of the channel again; false if it was settled before.
  bool give_back() noexcept {
    if (chan_ == nullptr) return false;
    using node = typename detail::chan_state<T>::returned_node;
    detail::chan_state<T>* const c = std::exchange(chan_, nullptr);
    c->give_back(
        std::unique_ptr<node>(new node{std::move(*value_), {token_, attempt_ + 1}, nullptr}));
    c->release();
    return true;
  }
  /// Tells a far home that the work goes on, for another while. Nothing to do near by.
  void extend(std::chrono::nanoseconds by) noexcept {
    if (chan_ == nullptr || chan_->link == nullptr) return;
    chan_->lock.lock();
    if (chan_->link != nullptr) chan_->link->extend(token_, by.count());
    chan_->lock.unlock();
  }

  /// For the transport: what `give_back` puts back, without doing it. `tried`: it counts as an
  /// attempt.
  std::unique_ptr<typename detail::chan_state<T>::returned_node> detach(bool tried) {
    using node = typename detail::chan_state<T>::returned_node;
    auto n = std::make_unique<node>(
        node{std::move(*value_), {token_, attempt_ + (tried ? 1U : 0U)}, nullptr});
    std::exchange(chan_, nullptr)->release();
    return n;
  }

 private:
  bool settle(detail::verdict v) noexcept {
    if (chan_ == nullptr) return false;
    detail::chan_state<T>* const c = std::exchange(chan_, nullptr);
    const bool ours = c->settle(token_, v);
    c->release();
    return ours;
  }

  std::optional<T> value_;
  detail::chan_state<T>* chan_ = nullptr;  // null once settled
  std::uint64_t token_ = 0;
  std::uint32_t attempt_ = 0;
};

}  // namespace strait::inline STRAIT_ABI
