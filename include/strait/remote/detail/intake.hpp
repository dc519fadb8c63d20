// The home's side of a remote sender: what it pushes is put into the channel by a pump.
//
// Invariants
// - Credits: the peer may push values below `granted_` (and bytes below `granted_bytes_`, but one
//   value may fly alone). What arrived and is not in the channel yet never exceeds this link's own
//   window; a peer that pushes more is dropped. The window doubles while the channel takes all as
//   it comes and the peer needs more than half of it.
// - The answer to a push goes at once (lazily, with the next data) and carries the credit as it is;
//   a credit call goes only when the peer is down to half of its window and has room to gain.
// - In the drive the list is copied out of its message, no more; the pump decodes.
// - Close is a barrier: when the channel is closed here, or by another remote sender, the peer is
// told
//   to send no more; what it sent before still comes and goes in (as a *late* send) until it
//   finishes, and the channel's end waits for that.
// - `stored_` counts what is in the channel, in order: that is what `flush` waits for.
#pragma once

#include <strait/remote/detail/session.hpp>

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include <strait/chan.hpp>
#include <strait/remote/detail/batch.hpp>

namespace strait::inline STRAIT_ABI::detail {

class intake_base : public link_base, public late_sender {
 public:
  intake_base(std::shared_ptr<session> s, std::string name, protocol::client credits,
              std::uint32_t window)
      : link_base(s), name_(std::move(name)), context_(s->sched()), credits_(s->drv()) {
    credits_.put(kj::mv(credits));
    const link_limits& limits = s->limits();
    window_ =
        std::clamp<std::uint32_t>(window == 0 ? limits.window_items : window, 1, limits.most_items);
    window_bytes_ = limits.window_bytes;
    most_window_ = window == 0 ? limits.most_items : window_;
    grant();
  }

  ~intake_base() noexcept override = default;

  std::uint64_t granted() const noexcept { return granted_; }
  std::uint64_t granted_bytes() const noexcept { return granted_bytes_; }

  // -- the drive's side ---------------------------------------------------------------------------

  void on_push(const protocol::reader& params, protocol::call_context& context) {
    using method = protocol::sender::push;
    batch values = copy_values(params.get(method::items));
    const std::uint64_t first = params.get(method::first);
    const std::uint64_t stored = stored_.load(std::memory_order_acquire);
    const char* broken = nullptr;
    if (first != got_ || values.count() == 0) broken = "values out of order";
    if (got_ + values.count() > granted_) broken = "more values than it had credit for";
    if (got_bytes_ + values.bytes() > granted_bytes_ && stored != got_) {
      broken = "more bytes than it had credit for";
    }
    if (broken || finishing_) {
      session_->abort("refused: the peer sent " +
                      std::string(broken ? broken : "values after the end of its sender"));
      return;
    }
    got_ += values.count();
    got_bytes_ += values.bytes();
    session_->counters().values_in += values.count();
    // The channel keeps up and the peer is short of credit: a larger window.
    if (stored + values.count() == got_) {
      if (granted_ - got_ < window_ / 2) window_ = std::min(window_ * 2, most_window_);
      if (bytes_left() < window_bytes_ / 2) {
        window_bytes_ = std::min(window_bytes_ * 2, session_->limits().most_bytes);
      }
    }
    item next;
    next.values = std::move(values);
    put(std::move(next));
    grant();
    auto results = protocol::results_of<method>(context);
    results.set(method::accepted_up_to, stored);
    results.set(method::grant_up_to, granted_);
    results.set(method::bytes_up_to, granted_bytes_);
  }

  kj::Promise<void> on_flush(const protocol::reader& params, protocol::call_context context) {
    using method = protocol::sender::flush;
    const std::uint64_t up_to = params.get(method::up_to);
    context.releaseParams();
    if (stored_.load(std::memory_order_seq_cst) >= up_to) {
      session_->urgent();
      protocol::results_of<method>(context).set(method::up_to, up_to);
      return kj::READY_NOW;
    }
    auto paf = kj::newPromiseAndFulfiller<void>();
    flushes_.push_back({up_to, kj::mv(paf.fulfiller)});
    waits_.store(true, std::memory_order_seq_cst);
    answer_flushes();  // the pump may have stored it before it could see that
    return paf.promise.then([self = self<intake_base>(), up_to, context]() mutable {
      self->session_->urgent();
      protocol::results_of<method>(context).set(method::up_to, up_to);
    });
  }

  kj::Promise<void> on_finish(const protocol::reader& params, protocol::call_context context) {
    using method = protocol::sender::finish;
    if (params.get(method::last) != got_ || finishing_) {
      session_->abort("refused: the peer finished a sender out of order");
      return kj::READY_NOW;
    }
    finishing_ = true;
    item last;
    last.finish = true;
    auto end = params.get(method::end);
    last.close = !end.isNull();
    if (last.close) last.error = read_end(end, name_);
    put(std::move(last));
    context.releaseParams();
    auto paf = kj::newPromiseAndFulfiller<void>();
    finish_ = kj::mv(paf.fulfiller);
    return paf.promise.then([self = self<intake_base>(), context]() mutable {
      self->session_->urgent();
      protocol::results_of<method>(context);
    });
  }

  void connection_down(const std::string&) override {
    lock_.lock();
    down_ = true;
    lock_.unlock();
    forget();
    wake_.set(*session_->drv());
  }

  /// The peer has dropped its capability.
  void abandoned() { connection_down({}); }

  void stop() noexcept override { context_.cancel(); }

  /// Under the channel's lock: the channel is closed.
  void channel_closed(const std::exception_ptr& why) noexcept override {
    if (why) {
      post_ended(protocol::end::failed, message_of(why));
    } else {
      post_ended(protocol::end::closed);
    }
    if (this_thread().w == nullptr) session_->drv()->wake();
  }

 protected:
  struct item {
    batch values;
    bool finish = false;  // the peer's last word
    bool close = false;   // it closed the channel, rather than just left
    std::exception_ptr error;
  };

  std::optional<item> next() {
    lock_.lock();
    std::optional<item> first;
    if (!queue_.empty()) {
      first.emplace(std::move(queue_.front()));
      queue_.pop_front();
    }
    lock_.unlock();
    return first;
  }
  bool over() noexcept {
    lock_.lock();
    const bool is = down_ && queue_.empty();
    lock_.unlock();
    return is;
  }

  /// A goroutine's: `n` more values are in the channel.
  void stored(std::uint64_t n, std::uint64_t bytes) {
    const std::uint64_t now_bytes =
        stored_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    const std::uint64_t now = stored_.fetch_add(n, std::memory_order_seq_cst) + n;
    const bool asked = waits_.load(std::memory_order_seq_cst);
    const bool short_of = low_at_.load(std::memory_order_relaxed) <= now ||
                          low_bytes_at_.load(std::memory_order_relaxed) <= now_bytes;
    if (!asked && !short_of) return;
    session_->drv()->post([self = self<intake_base>()] {
      self->answer_flushes();
      self->top_up();
    });
  }

  /// A goroutine's: the channel here took the last value and the peer may know.
  void post_finished() {
    session_->drv()->post([self = self<intake_base>()] {
      if (self->finish_.get() != nullptr) self->finish_->fulfill();
      self->forget();
      self->session_->remove(self.get());
    });
  }

  /// A goroutine's: the channel here ended.
  void post_ended(protocol::end::kind kind, std::string text = {}) {
    session_->drv()->post([self = self<intake_base>(), kind, text = std::move(text)] {
      self->send_ended(kind, text);
    });
  }

  const std::string name_;
  link_context context_;
  event wake_;

 private:
  struct flush_wait {
    std::uint64_t up_to;
    kj::Own<kj::PromiseFulfiller<void>> done;
  };

  void put(item next) {
    lock_.lock();
    queue_.push_back(std::move(next));
    lock_.unlock();
    wake_.set(*session_->drv());
  }

  void grant() {
    granted_ = std::max(granted_, stored_.load(std::memory_order_acquire) + window_);
    granted_bytes_ =
        std::max(granted_bytes_, stored_bytes_.load(std::memory_order_relaxed) + window_bytes_);
    low_at_.store(granted_ - window_ / 2, std::memory_order_relaxed);
    low_bytes_at_.store(granted_bytes_ - window_bytes_ / 2, std::memory_order_relaxed);
  }
  /// What the peer may still push.
  std::uint64_t bytes_left() const noexcept {
    return granted_bytes_ - std::min(granted_bytes_, got_bytes_);
  }

  /// Sends a credit if the peer has little left and can be given a good deal more.
  void top_up() {
    auto* const to = credits_.get();
    if (to == nullptr || !session_->standing() || finishing_) return;
    if (granted_ - got_ > window_ / 2 && bytes_left() > window_bytes_ / 2) return;
    const std::uint64_t items = stored_.load(std::memory_order_acquire) + window_;
    const std::uint64_t bytes = stored_bytes_.load(std::memory_order_relaxed) + window_bytes_;
    if (items < granted_ + std::max(1U, window_ / 4) &&
        bytes < granted_bytes_ + window_bytes_ / 4) {
      return;
    }
    grant();
    using method = protocol::credit_sink::credit;
    auto request = protocol::make_request<protocol::credit_sink, method>(*to);
    auto params = protocol::params_of<method>(request);
    params.set(method::grant_up_to, granted_);
    params.set(method::accepted_up_to, stored_.load(std::memory_order_acquire));
    params.set(method::bytes_up_to, granted_bytes_);
    session_->urgent();
    session_->call(kj::mv(request), [](const protocol::reader&) {});
  }

  void answer_flushes() {
    const std::uint64_t now = stored_.load(std::memory_order_seq_cst);
    std::erase_if(flushes_, [&](flush_wait& f) {
      if (f.up_to > now) return false;
      f.done->fulfill();
      return true;
    });
    waits_.store(!flushes_.empty(), std::memory_order_seq_cst);
  }

  void send_ended(protocol::end::kind kind, const std::string& text) {
    auto* const to = credits_.get();
    if (to == nullptr || !session_->standing()) return;
    using method = protocol::credit_sink::ended;
    auto request = protocol::make_request<protocol::credit_sink, method>(*to, 8 + text.size() / 8);
    write_end(protocol::params_of<method>(request).get(method::end), kind, text);
    session_->urgent();
    session_->call(kj::mv(request), [](const protocol::reader&) {});
  }

  void forget() {
    flushes_.clear();
    finish_ = nullptr;
    credits_.reset();
  }

  drive_owned<protocol::client> credits_;
  std::uint64_t got_ = 0, got_bytes_ = 0, granted_ = 0, granted_bytes_ = 0;
  std::uint32_t window_ = 0, most_window_ = 0;
  std::uint64_t window_bytes_ = 0;
  bool finishing_ = false;
  std::vector<flush_wait> flushes_;
  kj::Own<kj::PromiseFulfiller<void>> finish_;

  std::atomic<std::uint64_t> stored_{0}, stored_bytes_{0};
  // Where `stored_` says that the peer has half a window left, or less.
  std::atomic<std::uint64_t> low_at_{0}, low_bytes_at_{0};
  std::atomic<bool> waits_{false};  // a flush waits for `stored_`
  spin_lock lock_;
  std::deque<item> queue_;
  bool down_ = false;
};

/// What the sending process calls.
class sender_server final : public capnp::Capability::Server {
 public:
  explicit sender_server(std::shared_ptr<intake_base> to) : to_(std::move(to)) {}
  ~sender_server() noexcept { to_->abandoned(); }

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using sender = protocol::sender;
    if (interface == sender::id) {
      protocol::reader params(context.getParams());
      switch (method) {
        case sender::push::method: to_->on_push(params, context); return protocol::done();
        case sender::flush::method:
          return dispatch_result<protocol::dispatched>(to_->on_flush(params, context), false,
                                                       false);
        case sender::finish::method:
          return dispatch_result<protocol::dispatched>(to_->on_finish(params, context), false,
                                                       false);
        default: break;
      }
    }
    return internalUnimplemented("strait.capnp:Sender", interface, method);
  }

 private:
  std::shared_ptr<intake_base> to_;
};

template <class T>
class intake final : public intake_base {
 public:
  using intake_base::intake_base;

  void start(sender<T> tx) {
    context_.launch(0, &intake::pump, this->template self<intake>(), std::move(tx));
  }

 private:
  /// A send of what left its sender before the channel was closed.
  struct late_send final : basic_send_op<T, late_send> {
    late_send(chan_state<T>* c, T& v) noexcept
        : basic_send_op<T, late_send>(c), value_(std::addressof(v)) {
      this->late = true;
    }
    T* source() noexcept { return value_; }

   private:
    T* value_;
  };

  /// The channel's end waits as long as one of these lives.
  struct barrier {
    barrier(chan_core& c, late_sender* l) noexcept : channel(c), link(l) { c.add_late(l); }
    barrier(const barrier&) = delete;
    ~barrier() { channel.remove_late(link); }
    chan_core& channel;
    late_sender* link;
  };

  static task<> send_all(chan_state<T>* c, std::vector<T>& values) {
    for (std::size_t i = 0; i < values.size();) {
      ready_list woken;
      c->lock.lock();
      for (; i < values.size(); ++i) {
        send_node<T> node;
        node.late = true;
        node.value = &values[i];
        if (!c->send_locked(node, woken) || node.status != op_status::done) break;
      }
      c->lock.unlock();
      scheduler::ready_all(woken);
      if (i < values.size()) {
        co_await late_send(c, values[i]);
        ++i;
      }
    }
  }

  /// Puts in what comes, until the peer's last word. Throws what a send throws; false: it was lost.
  static task<bool> put_in(intake* self, chan_state<T>* state) {
    barrier end_waits(*state, self);
    for (;;) {
      std::optional<item> next = self->next();
      if (!next) {
        if (self->over()) co_return false;
        co_await self->wake_.wait();
        continue;
      }
      if (next->finish) {
        if (next->close) state->close(next->error);
        co_return true;
      }
      std::vector<T> values = decode_values<T>(
          next->values, self->session_->limits().max_item + self->session_->limits().batch_bytes);
      co_await send_all(state, values);
      self->stored(next->values.count(), next->values.bytes());
    }
  }

  static task<> pump(std::shared_ptr<intake> self, sender<T> tx) {
    chan_state<T>* const state = chan_access::state(tx);
    protocol::end::kind why = protocol::end::no_receiver;
    std::string text;
    bool lost = false;
    try {
      const bool finished = co_await put_in(self.get(), state);
      if (finished) {
        tx = {};
        self->post_finished();
        co_return;
      }
      lost = true;
    } catch (const cancelled&) {
      co_return;
    } catch (const closed&) {
    } catch (const std::exception& e) {
      why = protocol::end::failed;
      text = e.what();
    }
    if (lost || why == protocol::end::failed) {
      state->lock.lock();
      state->sender_lost = true;
      state->lock.unlock();
    }
    tx = {};
    if (lost) co_return;
    self->post_ended(why, std::move(text));
    try {
      for (;;) {  // what is still under way has nowhere to go
        std::optional<item> next = self->next();
        if (next && next->finish) break;
        if (next) continue;
        if (self->over()) co_return;
        co_await self->wake_.wait();
      }
      self->post_finished();
    } catch (const cancelled&) {
    }
  }
};

}  // namespace strait::inline STRAIT_ABI::detail
