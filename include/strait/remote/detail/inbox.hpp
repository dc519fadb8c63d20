// The dialling side of a receiver: a local channel (the inbox) that a pump fills from the home.
// What is promised about it, and kept, is in inbox_base.hpp; here is what depends on T.
//
// Invariant: the pump is the only one that puts values in, in the order of their numbers, and it
// runs T's decoding; it holds the channel's one sender handle, so the channel ends when the pump
// says so.
#pragma once

#include <strait/remote/detail/inbox_base.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace strait::inline STRAIT_ABI::detail {

template <class T>
class inbox final : public inbox_base {
 public:
  static std::pair<std::shared_ptr<inbox>, receiver<T>> make(std::shared_ptr<session> s,
                                                             std::string name) {
    auto link = std::make_shared<inbox>(std::move(s), std::move(name));
    chan_state<T>* const state = chan_access::make<T>(0);
    state->link = link.get();
    state->link_owner = link;
    link->state_ = state;
    state->retain();
    link->mine_ = chan_access::adopt<sender<T>>(state);
    return {link, chan_access::adopt<receiver<T>>(state)};
  }

  inbox(std::shared_ptr<session> s, std::string name) : inbox_base(std::move(s), std::move(name)) {}

  /// Starts the pump: the home has answered. In a goroutine.
  void start(std::uint32_t capacity) {
    state_->lock.lock();
    state_->capacity = capacity;
    state_->lock.unlock();
    context_.launch(0, &inbox::pump, this->template self<inbox>(), std::move(mine_));
  }
  /// There will be none: breaks the ring of handles. `abandon` does the rest.
  void give_up() noexcept { mine_ = {}; }

 private:
  chan_core& core() noexcept override { return *state_; }

  void release() noexcept override {
    session_->drv()->ready(
        [](void* state) noexcept { static_cast<chan_state<T>*>(state)->release(); }, state_);
  }

  static task<> pump(std::shared_ptr<inbox> self, sender<T> keep_open) {
    chan_state<T>* const state = chan_access::state(keep_open);
    try {
      for (;;) {
        work w = self->take_work();
        for (parcel& p : w.parcels) self->deliver(*state, p);
        if (w.down) {
          // Handed to somebody else by now: dropped unseen.
          state->lock.lock();
          state->withdraw_locked([](std::uint64_t) {});
          state->lock.unlock();
          state->close(w.error);
          co_return;
        }
        state->lock.lock();
        const bool finish = w.ended || (w.gone && state->leased == 0);
        if (w.withdraw || w.lingered || (w.gone && !w.ended)) {
          state->withdraw_locked([&](std::uint64_t seq) { self->gave_back(seq); });
          self->express();
        }
        const bool waits = w.shared && state->size() != 0;
        state->lock.unlock();
        if (waits) self->post_linger();
        if (finish) {
          if (w.ended) state->close(w.error);
          self->post_finish();
          co_return;
        }
        co_await self->event_.wait();
      }
    } catch (const cancelled&) {
    } catch (const std::exception& e) {
      state->close(std::make_exception_ptr(
          failed("strait: " + self->name_ + ": a value cannot be read: " + e.what())));
      self->post_finish();
    }
  }

  void deliver(chan_state<T>& state, parcel& p) {
    std::vector<T> values =
        decode_values<T>(p.values, session_->limits().max_item + session_->limits().batch_bytes);
    ready_list woken;
    state.lock.lock();
    for (std::size_t i = 0; i < values.size(); ++i) {
      state.arrive_locked(std::move(values[i]), item_note{p.first + i, p.attempt}, woken);
    }
    state.lock.unlock();
    scheduler::ready_all(woken);
  }

  chan_state<T>* state_ = nullptr;
  sender<T> mine_;
};

}  // namespace strait::inline STRAIT_ABI::detail
