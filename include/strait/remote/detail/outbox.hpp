// The dialling side of a sender: a local channel (the outbox) that a pump empties into the home.
//
// Invariants
// - The user's sends have room while fewer values were sent than the home granted (`limit` of the
//   channel): a buffered send case is ready by a local fact.
// - The pump is a lazy goroutine: it runs when the sending goroutine suspends, and takes all there
//   is: that is the batch. It encodes outside the drive and posts a push; pushes leave in order.
// - Bytes: a push waits until it fits into what the home granted in bytes, or until everything
//   before it was taken, for which the home is asked: one value may always fly alone. What was sent
//   and not pushed is bounded as well: `limit` stays so many values ahead of the pump as make
//   `ahead_bytes`, judged by the size of the last ones. So a process holds no more than that and
//   the home's window in bytes.
// - `tail` of the channel counts what was sent, `pushed_` what left, `accepted` what the home has.
// - The end: the channel closes (by a call, or because the last sender left), the pump drains it
//   and says `finish`; the answer means that the home has everything.
#pragma once

#include <strait/remote/detail/session.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <strait/chan.hpp>
#include <strait/remote/detail/batch.hpp>

namespace strait::inline STRAIT_ABI::detail {

class outbox_base : public link_base, public chan_link {
 public:
  outbox_base(std::shared_ptr<session> s, std::string name, std::uint64_t value_bytes)
      : link_base(s),
        name_(std::move(name)),
        context_(s->sched()),
        sender_(s->drv()),
        value_bytes_(value_bytes) {}

  /// In the drive: the home's answer to the bind.
  void bound(protocol::client sender, std::uint64_t grant, std::uint64_t bytes) {
    if (over_) return;  // dropping the capability is an end, too
    sender_.put(kj::mv(sender));
    credit(grant, 0, bytes);
  }
  /// In the drive: the dial failed, or was cancelled.
  void abandon() {
    send_finish(protocol::end::closed, false, {});
    over();
  }

  // -- the drive's side ---------------------------------------------------------------------------

  void credit(std::uint64_t grant, std::uint64_t accepted, std::uint64_t bytes) {
    if (over_) return;
    core().accept(accepted);
    lock_.lock();
    accepted_ = std::max(accepted_, accepted);
    bytes_limit_ = std::max(bytes_limit_, bytes);
    granted_ = std::max(granted_, grant);
    const std::uint64_t limit = limit_locked();
    lock_.unlock();
    raise(limit);
    room_.set(*session_->drv());
  }

  /// The home's channel ended. By a close, with an error or without: the pump still pushes what was
  /// sent, then finishes.
  void ended(protocol::any::Reader why) {
    if (over_) return;
    const auto kind = protocol::reader(why).get(protocol::end::tag);
    std::exception_ptr error = read_end(why, name_);
    if (kind == protocol::end::no_receiver) {
      error = std::make_exception_ptr(closed(channel_errc::no_receiver));
    }
    core().close(error);
    session_->drv()->made_ready();
    if (error && kind != protocol::end::failed) over();
  }

  void connection_down(const std::string& why) override {
    if (over_) return;
    // Closed in order before: then nobody is left to hear of it.
    const bool heard =
        core().close(std::make_exception_ptr(lost("strait: " + name_ + " is lost: " + why)));
    lock_.lock();
    const std::string lines = heard ? std::string() : unsent();
    lock_.unlock();
    if (!lines.empty()) session_->counters().lose(lines);
    over();
  }

  // -- chan_link, under the channel's lock --------------------------------------------------------

  void popped(std::uint64_t, bool) noexcept override {}
  void starving() noexcept override {}
  bool settled(std::uint64_t, verdict, nanos) noexcept override { return true; }
  void receivers_gone() noexcept override {}
  void extend(std::uint64_t, nanos) noexcept override {}
  void flush_wanted() noexcept override {
    const std::uint64_t up_to = core().tail.load(std::memory_order_relaxed);
    post_wake([self = self<outbox_base>(), up_to] { self->flush(up_to); });
  }

  // -- the end of the program ---------------------------------------------------------------------

  bool drained() noexcept override {
    lock_.lock();
    const bool d = done_;
    lock_.unlock();
    return d;
  }
  std::string left_over() override {
    lock_.lock();
    std::string text = done_ ? std::string() : unsent();
    lock_.unlock();
    return text;
  }
  void stop() noexcept override { context_.cancel(); }

  std::uint64_t sent_so_far() noexcept override {
    return over_ ? 0 : core().tail.load(std::memory_order_relaxed);
  }
  std::uint64_t pushed_so_far() noexcept override { return over_ ? UINT64_MAX : sent_; }

 protected:
  virtual chan_core& core() noexcept = 0;
  /// Lets more sends in; takes the channel's lock.
  virtual void raise(std::uint64_t limit) = 0;
  /// The link will not touch the channel any more.
  virtual void release() noexcept = 0;

  std::string unsent() {
    const std::uint64_t sent = core().tail.load(std::memory_order_relaxed);
    if (sent == accepted_) {
      core().lock.lock();
      const bool leaving = core().senders_left;
      core().lock.unlock();
      if (leaving) return {};  // it has all; to leave is no more than the connection's end
      return "strait: " + name_ + ": the close was not confirmed\n";
    }
    return "strait: " + name_ + ": " + std::to_string(sent - accepted_) +
           " values were not accepted\n";
  }

  /// Posts from wherever a hook is called: on a thread that is no worker, one is woken to drive.
  template <class F>
  void post_wake(F f) noexcept {
    session_->drv()->post(std::move(f));
    if (this_thread().w == nullptr) session_->drv()->wake();
  }

  /// A goroutine's: whether `bytes` may leave now.
  bool may_push(std::uint64_t bytes) noexcept {
    lock_.lock();
    const bool may = done_ || bytes_pushed_ + bytes <= bytes_limit_ || accepted_ == pushed_;
    if (may) bytes_pushed_ += bytes;
    lock_.unlock();
    return may;
  }

  /// A goroutine's: asks the home to say when it has taken all that was pushed; once each time.
  void post_flush() {
    if (std::exchange(asked_, pushed_) == pushed_) return;
    session_->drv()->post([self = self<outbox_base>(), up_to = pushed_] { self->flush(up_to); });
  }

  void push(batch b) {
    const std::uint64_t first = pushed_;
    lock_.lock();
    pushed_ += b.count();
    value_bytes_ = b.bytes() / b.count();
    const std::uint64_t limit = limit_locked();
    lock_.unlock();
    session_->drv()->post([self = self<outbox_base>(), first, b = std::move(b)]() mutable {
      self->send_push(first, b);
    });
    raise(limit);
  }

  void post_finish(protocol::end::kind kind, bool explicitly, std::string text) {
    session_->drv()->post([self = self<outbox_base>(), kind, explicitly, text = std::move(text)] {
      self->send_finish(kind, explicitly, text);
    });
  }

  /// Of values that were sent and not pushed: four batches.
  static constexpr std::uint64_t ahead_bytes = 256 << 10;

  const std::string name_;
  link_context context_;
  event room_;

 private:
  /// How far the senders may go now.
  std::uint64_t limit_locked() const noexcept {
    return std::min(granted_,
                    pushed_ + std::max<std::uint64_t>(
                                  1, ahead_bytes / std::max<std::uint64_t>(1, value_bytes_)));
  }

  void send_push(std::uint64_t first, const batch& b) {
    auto* const to = sender_.get();
    if (to == nullptr || !session_->standing()) return;
    using method = protocol::sender::push;
    auto request = protocol::make_request<protocol::sender, method>(*to, b.words());
    auto params = protocol::params_of<method>(request);
    params.set(method::first, first);
    params.set(method::bytes, b.bytes());
    b.read([&](protocol::any::Reader list) { params.get(method::items).set(list); });
    sent_ = first + b.count();
    session_->counters().values_out += b.count();
    session_->outbox_moved();
    session_->urgent();
    session_->call(kj::mv(request), [self = self<outbox_base>()](const protocol::reader& r) {
      self->credit(r.get(method::grant_up_to), r.get(method::accepted_up_to),
                   r.get(method::bytes_up_to));
    });
  }

  void flush(std::uint64_t up_to) {
    auto* const to = sender_.get();
    if (to == nullptr || !session_->standing()) return;
    using method = protocol::sender::flush;
    auto request = protocol::make_request<protocol::sender, method>(*to);
    protocol::params_of<method>(request).set(method::up_to, up_to);
    session_->urgent();
    session_->call(kj::mv(request), [self = self<outbox_base>()](const protocol::reader& r) {
      self->credit(0, r.get(method::up_to), 0);
    });
  }

  void send_finish(protocol::end::kind kind, bool explicitly, const std::string& text) {
    auto* const to = sender_.get();
    if (over_ || to == nullptr || !session_->standing()) return;  // `connection_down` ends it
    using method = protocol::sender::finish;
    auto request = protocol::make_request<protocol::sender, method>(*to, 8 + text.size() / 8);
    auto params = protocol::params_of<method>(request);
    params.set(method::last, sent_);
    if (explicitly) write_end(params.get(method::end), kind, text);
    session_->urgent();
    session_->call(kj::mv(request), [self = self<outbox_base>()](const protocol::reader&) {
      self->credit(0, self->sent_, 0);
      self->over();
    });
  }

  /// In the drive: nothing more will be said, and the channel is not touched any more.
  void over() {
    if (std::exchange(over_, true)) return;
    auto keep = shared_from_this();
    sender_.reset();
    lock_.lock();
    done_ = true;
    lock_.unlock();
    room_.set(*session_->drv());
    release();
    session_->remove(this);
    session_->outbox_moved();
    // The end of the program may wait for this.
    if (session_->sched().draining.load(std::memory_order_relaxed)) session_->sched().nudge();
  }

  drive_owned<protocol::client> sender_;
  std::uint64_t sent_ = 0;  // in the drive: handed to the connection
  bool over_ = false;

  spin_lock lock_;
  std::uint64_t pushed_ = 0;  // written by the pump only
  std::uint64_t asked_ = 0;   // the pump's: of how many it asked the home
  std::uint64_t accepted_ = 0;
  std::uint64_t granted_ = 0;
  std::uint64_t value_bytes_;  // of one value, as the last batch had them
  std::uint64_t bytes_pushed_ = 0, bytes_limit_ = 0;
  bool done_ = false;
};

/// What the home calls.
class credit_server final : public capnp::Capability::Server {
 public:
  explicit credit_server(std::shared_ptr<outbox_base> to) : to_(std::move(to)) {}

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using sink = protocol::credit_sink;
    if (interface == sink::id && method == sink::credit::method) {
      protocol::reader p(context.getParams());
      to_->credit(p.get(sink::credit::grant_up_to), p.get(sink::credit::accepted_up_to),
                  p.get(sink::credit::bytes_up_to));
      protocol::results_of<sink::credit>(context);
      return protocol::done();
    }
    if (interface == sink::id && method == sink::ended::method) {
      to_->ended(protocol::reader(context.getParams()).get(sink::ended::end));
      protocol::results_of<sink::ended>(context);
      return protocol::done();
    }
    return internalUnimplemented("strait.capnp:CreditSink", interface, method);
  }

 private:
  std::shared_ptr<outbox_base> to_;
};

template <class T>
class outbox final : public outbox_base {
 public:
  /// Makes the channel; the user's handle is the result. In a goroutine.
  static std::pair<std::shared_ptr<outbox>, sender<T>> make(std::shared_ptr<session> s,
                                                            std::string name) {
    auto link = std::make_shared<outbox>(std::move(s), std::move(name));
    chan_state<T>* const state = chan_access::make<T>(0);
    state->outbox = true;
    state->link = link.get();
    state->link_owner = link;
    link->state_ = state;
    state->retain();
    link->mine_ = chan_access::adopt<receiver<T>>(state);
    return {link, chan_access::adopt<sender<T>>(state)};
  }

  outbox(std::shared_ptr<session> s, std::string name)
      : outbox_base(std::move(s), std::move(name), fixed_size ? sizeof(T) : 16 << 10) {}

  /// Starts the pump: the home has answered. In a goroutine.
  void start(std::uint32_t capacity) {
    state_->lock.lock();
    state_->capacity = capacity;
    state_->lock.unlock();
    context_.launch(goroutine::lazy, &outbox::pump, this->template self<outbox>(),
                    std::move(mine_));
  }
  /// There will be none: breaks the ring of handles. `abandon` does the rest.
  void give_up() noexcept { mine_ = {}; }

 private:
  /// Else a value may own any number of bytes, and only the pump knows.
  static constexpr bool fixed_size = std::is_trivially_copyable_v<T>;
  // A ring of at most two batches of small values; the home's window bounds it as well.
  static constexpr std::uint64_t most_ring =
      fixed_size ? std::max<std::uint64_t>(64, (128 << 10) / sizeof(T)) : 1024;

  chan_core& core() noexcept override { return *state_; }

  void raise(std::uint64_t limit) override {
    ready_list woken;
    state_->lock.lock();
    if (limit > state_->limit) {
      state_->limit = limit;
      const std::uint64_t ahead = limit - state_->head.load(std::memory_order_relaxed);
      state_->grow(static_cast<std::uint32_t>(std::min(ahead, most_ring)));
      state_->admit(woken);
    }
    state_->lock.unlock();
    scheduler::ready_all(woken);
  }

  /// After the unlock: values may die with the channel.
  void release() noexcept override {
    session_->drv()->ready(
        [](void* state) noexcept { static_cast<chan_state<T>*>(state)->release(); }, state_);
  }

  static task<> pump(std::shared_ptr<outbox> self, receiver<T> rx) {
    protocol::end::kind kind = protocol::end::closed;
    std::string text;
    bool stopped = false;
    try {
      for (;;) {
        std::vector<T> values = co_await rx.recv_many(most_ring);
        if (values.empty()) break;
        co_await push_all(self.get(), std::span<const T>(values));
      }
    } catch (const cancelled&) {
      stopped = true;
    } catch (const failed& e) {  // closed with an error, here or at the home, which knows then
      kind = protocol::end::failed;
      text = e.what();
    } catch (const channel_error&) {
      stopped = true;  // lost, or without a receiver: the senders were told
    } catch (const std::exception& e) {
      kind = protocol::end::failed;
      text = "strait: " + self->name_ + ": a value cannot be sent: " + e.what();
      self->state_->close(std::make_exception_ptr(failed(text)));
    }
    if (stopped) co_return;
    self->state_->lock.lock();
    const bool explicitly = !self->state_->senders_left || kind == protocol::end::failed;
    self->state_->lock.unlock();
    self->post_finish(kind, explicitly, std::move(text));
  }

  static task<> push_all(outbox* self, std::span<const T> values) {
    const link_limits& limits = self->session_->limits();
    while (!values.empty()) {
      std::size_t count = values.size();
      std::size_t words = encoded_batch_words<T>(values);
      while (words * 8 > limits.batch_bytes && count > 1) {
        const std::size_t fits = count * limits.batch_bytes / (words * 8);
        count = std::clamp<std::size_t>(fits, 1, count - 1);
        words = encoded_batch_words<T>(values.first(count));
      }
      if (words * 8 > limits.max_item + 64) {
        throw codec_error("a value of " + std::to_string(words * 8) + " bytes; the limit is " +
                          std::to_string(limits.max_item));
      }
      batch b = encode_values<T>(values.first(count), words);
      while (!self->may_push(b.bytes())) {
        self->post_flush();
        co_await self->room_.wait();
      }
      self->push(std::move(b));
      values = values.subspan(count);
    }
  }

  chan_state<T>* state_ = nullptr;
  receiver<T> mine_;
};

}  // namespace strait::inline STRAIT_ABI::detail
