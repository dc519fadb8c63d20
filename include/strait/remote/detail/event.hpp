// What a link's goroutines and the drive wake each other with.
//
// - `event`: set by anyone, waited for by one goroutine, reset by its wait. Setting it is one small
//   lock; it may be done in the drive.
// - `reply<T>`: the outcome of a call that the drive makes for a goroutine. Shared by both, so that
//   a goroutine that was cancelled leaves nothing dangling.
// - `drive_owned<T>`: a KJ object in something that may be destroyed on any thread: destroyed in a
//   drive.
#pragma once

#include <strait/remote/detail/driver.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <strait/detail/wait_op.hpp>

namespace strait::inline STRAIT_ABI::detail {

class event {
 public:
  struct op : wait_op<op> {
    static constexpr wait_reason reason = wait_reason::runtime;
    explicit op(event& e) noexcept : event_(&e) {}
    spin_lock* queue_lock() const noexcept { return &event_->lock_; }
    bool try_locked(ready_list&) const noexcept { return std::exchange(event_->set_, false); }
    void link_locked() noexcept { event_->waiters_.push_back(this); }
    void unlink_locked() noexcept { event_->waiters_.remove(this); }
    void result() const noexcept {}
    const void* subject() const noexcept { return event_; }

   private:
    event* event_;
  };

  op wait() noexcept { return op(*this); }

  void set() noexcept {
    ready_list woken;
    lock_.lock();
    if (waiter* const w = pop_claimed(waiters_)) {
      woken.push(w->g);
    } else {
      set_ = true;
    }
    lock_.unlock();
    scheduler::ready_all(woken);
  }

  /// In a drive: the driver hears of it, since whoever drives may be about to sleep.
  void set(driver& d) noexcept {
    set();
    d.made_ready();
  }

 private:
  spin_lock lock_;
  wait_queue waiters_;
  bool set_ = false;
};

template <class T>
class reply {
 public:
  /// In the drive; the first outcome counts.
  void succeed(driver& d, T value) {
    if (std::exchange(told_, true)) return;
    value_ = std::move(value);
    done_.set(d);
  }
  void fail(driver& d, std::exception_ptr why) {
    if (std::exchange(told_, true)) return;
    error_ = std::move(why);
    done_.set(d);
  }

  /// `co_await r->wait()`, once, then `get`.
  event::op wait() noexcept { return done_.wait(); }
  T get() {
    if (error_) std::rethrow_exception(error_);
    return std::move(*value_);
  }

 private:
  bool told_ = false;
  std::optional<T> value_;
  std::exception_ptr error_;
  event done_;
};

template <class T>
class drive_owned {
 public:
  drive_owned() = default;
  explicit drive_owned(std::shared_ptr<driver> d) noexcept : driver_(std::move(d)) {}
  drive_owned(drive_owned&&) = delete;
  ~drive_owned() { reset(); }

  void put(T value) {
    driver_->require_drive();
    held_ = std::make_unique<T>(std::move(value));
  }
  T* get() const noexcept { return held_.get(); }

  void reset() noexcept {
    if (!held_) return;
    if (driver_->in_drive()) {
      held_.reset();
    } else {
      driver_->post([held = std::move(held_)]() mutable { held.reset(); });
    }
  }

 private:
  std::shared_ptr<driver> driver_;
  std::unique_ptr<T> held_;
};

}  // namespace strait::inline STRAIT_ABI::detail
