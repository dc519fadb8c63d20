// The dialling side of a receiver, what does not depend on its type: demand, settling, the wire.
// The channel and the pump are in inbox.hpp.
//
// Invariants
// - Values arrive only as far as this side demanded. With prefetch P that is what was taken plus a
//   window that begins at P and doubles while everything is taken as it comes; with P = 0, when
//   several receivers share the channel, one for each goroutine that waits.
// - A demand once told stays until it is answered, so a polling loop gets its values and a receive
//   that gave up loses nothing. With P = 0 a value that nobody took for a while goes back to the
//   front of the home's queue.
// - Settled: taken by `recv`, or acked. `acked_` is the number below which all are settled; others
//   are told one by one. What is not settled returns to the front of the home's queue when this
//   connection breaks. Settling a delivery is told in the next drive; plain receives with the
//   answer to the next push, or after some milliseconds.
// - An ack never overtakes a value sent earlier through this session: it waits until the session's
//   outboxes have pushed what they held when it was to be told (`session::behind_outboxes`).
#pragma once

#include <strait/remote/detail/session.hpp>

#include <algorithm>
#include <deque>
#include <set>
#include <vector>

#include <strait/chan.hpp>
#include <strait/remote/detail/batch.hpp>

namespace strait::inline STRAIT_ABI::detail {

class inbox_base : public link_base, public chan_link {
 public:
  inbox_base(std::shared_ptr<session> s, std::string name)
      : link_base(s),
        name_(std::move(name)),
        context_(s->sched()),
        receiver_(s->drv()),
        ack_timer_(s->drv()),
        linger_timer_(s->drv()) {}

  // -- the drive's side ---------------------------------------------------------------------------

  /// The home's answer to the bind.
  void bound(protocol::client to, std::uint32_t prefetch) {
    if (over_) return;  // dropping the capability is an end, too
    receiver_.put(kj::mv(to));
    on_prefetch(prefetch);
  }
  /// The dial failed, or was cancelled.
  void abandon() {
    send_finish();
    over();
  }

  void on_push(const protocol::reader& params, protocol::call_context& context) {
    using method = protocol::sink::push;
    batch values = copy_values(params.get(method::items));
    const std::uint64_t first = params.get(method::first);
    const std::uint64_t count = values.count();
    lock_.lock();
    const bool order = first == received_ && count != 0;
    const bool asked = received_ + count <= told_most_;
    if (order && asked) {
      received_ += count;
      received_bytes_ += values.bytes();
      sizes_.push_back({received_, values.bytes()});
      arrived_.push_back({std::move(values), first, std::max(1U, params.get(method::attempt))});
      pressed_ |= demanded_ - received_ < window_ / 2;
      pressed_bytes_ |= received_bytes_ + window_bytes_ / 2 > told_bytes_;
      if (prefetch_ > 0) demanded_ = std::max(demanded_, popped_ + window_);
    }
    lock_.unlock();
    if (!order || !asked) {
      session_->abort(!order ? "refused: the peer sent values out of order"
                             : "refused: the peer sent more values than were asked for");
      return;
    }
    session_->counters().values_in += count;
    event_.set(*session_->drv());
    auto results = protocol::results_of<method>(context);
    fill<method>(results, method::demand_up_to, may_tell_acks());
  }

  void on_ended(protocol::any::Reader why) {
    lock_.lock();
    if (!ended_) {
      ended_ = true;
      error_ = read_end(why, name_);
    }
    lock_.unlock();
    event_.set(*session_->drv());
  }

  void on_prefetch(std::uint32_t items) {
    lock_.lock();
    prefetch_ = items;
    window_ = std::max(items, 1U);
    window_bytes_ = session_->limits().window_bytes;
    demanded_ = items > 0 ? std::max(received_, popped_ + window_) : received_;
    told_ = nothing_told;    // the home forgot what it was told before
    withdraw_ = items == 0;  // and tells the demand of those who wait
    lock_.unlock();
    event_.set(*session_->drv());
    sync();
  }

  void connection_down(const std::string& why) override {
    if (over_) return;
    lock_.lock();
    if (!ended_) {
      ended_ = true;
      error_ = std::make_exception_ptr(lost("strait: " + name_ + " is lost: " + why));
    }
    lock_.unlock();
    over();
  }

  // -- chan_link, under the channel's lock --------------------------------------------------------

  void popped(std::uint64_t seq, bool leased) noexcept override {
    lock_.lock();
    took(seq);
    bool tell = false;
    if (prefetch_ > 0 &&
        (demanded_ - std::min(demanded_, popped_) < window_ / 2 + 1 || bytes_due())) {
      demanded_ = std::max(demanded_, popped_ + window_);
      tell = true;
    }
    bool later = false;
    if (!leased) {
      settle(seq);
      later = !tell && !std::exchange(ack_planned_, true);
    }
    tell = tell && begin_post();
    later = later && !down_;
    lock_.unlock();
    if (tell) post_wake([self = self<inbox_base>()] { self->sync(); });
    if (later) post_wake([self = self<inbox_base>()] { self->ack_later(); });
  }

  void starving() noexcept override {
    lock_.lock();
    const std::uint64_t before = demanded_;
    bool more_bytes = false;
    if (prefetch_ == 0) {
      demand_for(1 + waiting());
    } else {  // nothing is left here: did the home use up what it was told?
      if (std::exchange(pressed_, false)) {
        window_ = std::min(window_ * 2, session_->limits().most_items);
        demanded_ = std::max(demanded_, popped_ + window_);
      }
      if (std::exchange(pressed_bytes_, false)) {
        window_bytes_ = std::min(window_bytes_ * 2, session_->limits().most_bytes);
        more_bytes = true;
      }
    }
    const bool tell = (demanded_ != before || more_bytes) && begin_post();
    lock_.unlock();
    if (tell) post_wake([self = self<inbox_base>()] { self->sync(); });
  }

  bool settled(std::uint64_t seq, verdict v, nanos delay) noexcept override {
    lock_.lock();
    const bool ours = !down_;
    if (ours && v == verdict::give_back) {
      returned_.push_back(seq);
      return_delay_ = std::max(return_delay_, delay);
    } else if (ours) {
      settle(seq);
    }
    const bool tell = ours && begin_post();
    const bool gone = receivers_left_;
    lock_.unlock();
    if (tell) post_wake([self = self<inbox_base>()] { self->sync(); });
    if (gone) event_.set();  // the last delivery ends the link
    return ours;
  }

  void receivers_gone() noexcept override {
    lock_.lock();
    receivers_left_ = true;
    lock_.unlock();
    event_.set();
  }
  void flush_wanted() noexcept override {}
  void extend(std::uint64_t, nanos) noexcept override {}

  // -- the end of the program ---------------------------------------------------------------------

  bool drained() noexcept override { return over_told_.load(std::memory_order_acquire); }
  void stop() noexcept override { context_.cancel(); }

 protected:
  struct parcel {
    batch values;
    std::uint64_t first;
    std::uint32_t attempt;
  };
  struct work {
    std::vector<parcel> parcels;
    bool withdraw = false, lingered = false, ended = false, gone = false, down = false;
    bool shared = false;
    std::exception_ptr error;
  };

  virtual chan_core& core() noexcept = 0;
  /// The link will not touch the channel any more.
  virtual void release() noexcept = 0;

  work take_work() {
    work w;
    lock_.lock();
    w.parcels.swap(arrived_);
    w.withdraw = std::exchange(withdraw_, false);
    w.lingered = std::exchange(lingered_, false) && prefetch_ == 0;
    w.shared = prefetch_ == 0;
    w.ended = ended_;
    w.error = error_;
    w.gone = receivers_left_;
    w.down = down_;
    lock_.unlock();
    return w;
  }

  /// Under the channel's lock: a value that nobody took goes back.
  void gave_back(std::uint64_t seq) noexcept {
    lock_.lock();
    took(seq);
    untaken_.push_back(seq);
    lock_.unlock();
  }
  /// Under the channel's lock: tells the demand of those who wait, and what goes back.
  void express() noexcept {
    lock_.lock();
    if (prefetch_ == 0) demand_for(waiting());
    const bool tell = begin_post();
    lock_.unlock();
    if (tell) session_->drv()->post([self = self<inbox_base>()] { self->sync(); });
  }
  void post_linger() {
    session_->drv()->post([self = self<inbox_base>()] { self->linger(); });
  }
  void post_finish() {
    session_->drv()->post([self = self<inbox_base>()] { self->send_finish(); });
  }

  const std::string name_;
  link_context context_;
  event event_;

 private:
  struct extent {
    std::uint64_t up_to, bytes;
  };

  template <class F>
  void post_wake(F f) noexcept {
    session_->drv()->post(std::move(f));
    if (this_thread().w == nullptr) session_->drv()->wake();
  }

  // -- under lock_ --------------------------------------------------------------------------------

  bool begin_post() noexcept { return !down_ && !std::exchange(posted_, true); }

  void took(std::uint64_t seq) {
    popped_ = std::max(popped_, seq + 1);
    while (!sizes_.empty() && sizes_.front().up_to <= popped_) {
      taken_bytes_ += sizes_.front().bytes;
      sizes_.pop_front();
    }
  }

  void settle(std::uint64_t seq) {
    if (seq != acked_) {
      scattered_.insert(seq);
      fresh_.push_back(seq);
      return;
    }
    ++acked_;
    while (!scattered_.empty() && *scattered_.begin() == acked_) {
      scattered_.erase(scattered_.begin());
      ++acked_;
    }
  }

  /// How many goroutines wait; also under the channel's lock.
  std::uint64_t waiting() noexcept {
    std::uint64_t n = 0;
    for (waiter* w = core().receivers.front(); w != nullptr && n < 256; w = w->next) ++n;
    return n;
  }
  /// Whether the home may push less than half of a window.
  bool bytes_due() const noexcept { return taken_bytes_ + window_bytes_ / 2 > told_bytes_; }
  void demand_for(std::uint64_t n) noexcept { demanded_ = std::max(demanded_, popped_ + n); }

  // -- the drive ----------------------------------------------------------------------------------

  template <class M, class F>
  void fill(protocol::writer& to, F up_to, bool with_acks) {
    lock_.lock();
    told_ = demanded_;
    told_most_ = std::max(told_most_, demanded_);
    if (with_acks) told_acked_ = acked_;
    to.set(up_to, demanded_);
    to.set(M::acked_up_to, told_acked_);
    told_bytes_ = taken_bytes_ + window_bytes_;
    to.set(M::bytes_up_to, told_bytes_);
    to.set(M::prefetch, prefetch_);
    lock_.unlock();
  }

  bool may_tell_acks() { return !waits_for_outboxes_ && session_->outboxes_empty(); }

  /// Tells the home what changed.
  void sync() {
    auto* const to = receiver_.get();
    lock_.lock();
    posted_ = false;
    const bool demand = demanded_ != told_ || bytes_due();
    const bool acks_due = acked_ != told_acked_ || !fresh_.empty();
    lock_.unlock();
    if (over_ || to == nullptr || !session_->standing()) return;
    const bool acks = acks_due && !waits_for_outboxes_ && session_->outboxes_empty();
    if (acks_due && !acks && !std::exchange(waits_for_outboxes_, true)) {
      session_->behind_outboxes([self = self<inbox_base>()] {
        self->waits_for_outboxes_ = false;
        self->tell_acks();
      });
    }
    if (demand && !acks) tell_demand(false);
    if (demand) session_->urgent();
    if (acks) tell_acks();
    std::vector<std::uint64_t> returned, untaken;
    lock_.lock();
    returned.swap(returned_);
    untaken.swap(untaken_);
    const nanos delay = std::exchange(return_delay_, 0);
    lock_.unlock();
    if (returned.empty() && untaken.empty()) return;
    session_->urgent();
    if (!returned.empty()) tell<protocol::receiver::give_back>(*to, returned, delay, true);
    if (!untaken.empty()) tell<protocol::receiver::give_back>(*to, untaken, 0, false);
  }

  void tell_acks() {
    auto* const to = receiver_.get();
    if (over_ || to == nullptr || !session_->standing()) return;
    std::vector<std::uint64_t> acks;
    lock_.lock();
    std::erase_if(fresh_, [&](std::uint64_t seq) { return seq < acked_; });
    acks.swap(fresh_);
    const bool cumulative = acked_ != told_acked_ || demanded_ != told_ || bytes_due();
    lock_.unlock();
    if (cumulative) tell_demand(true);
    if (!acks.empty()) tell<protocol::receiver::ack>(*to, acks, 0, false);
  }

  void tell_demand(bool with_acks) {
    using method = protocol::receiver::demand;
    auto request = protocol::make_request<protocol::receiver, method>(*receiver_.get());
    auto params = protocol::params_of<method>(request);
    fill<method>(params, method::up_to, with_acks);
    session_->call(kj::mv(request), [](const protocol::reader&) {});
  }

  template <class M>
  void tell(protocol::client& to, const std::vector<std::uint64_t>& seqs, nanos delay, bool tried) {
    auto request = protocol::make_request<protocol::receiver, M>(to, seqs.size() + 1);
    auto params = protocol::params_of<M>(request);
    auto list = params.get(M::seqs).template initAs<capnp::List<std::uint64_t>>(
        static_cast<kj::uint>(seqs.size()));
    for (kj::uint i = 0; i < list.size(); ++i) list.set(i, seqs[i]);
    if constexpr (requires { M::delay_ms; }) {
      params.set(M::delay_ms, static_cast<std::uint32_t>(delay / 1'000'000));
      params.set(M::tried, tried);
    }
    session_->call(kj::mv(request), [](const protocol::reader&) {});
  }

  /// If no push comes whose answer takes the acks along.
  void ack_later() {
    if (over_) return;
    ack_timer_.put(session_->drv()
                       ->timer()
                       .afterDelay(5 * kj::MILLISECONDS)
                       .then([this] {
                         lock_.lock();
                         ack_planned_ = false;
                         lock_.unlock();
                         sync();
                       })
                       .eagerlyEvaluate(nullptr));
  }

  void linger() {
    if (over_) return;
    linger_timer_.put(session_->drv()
                          ->timer()
                          .afterDelay(20 * kj::MILLISECONDS)
                          .then([this] {
                            lock_.lock();
                            lingered_ = true;
                            lock_.unlock();
                            event_.set(*session_->drv());
                          })
                          .eagerlyEvaluate(nullptr));
  }

  void send_finish() {
    auto* const to = receiver_.get();
    if (over_ || to == nullptr || !session_->standing()) return;  // `connection_down` ends it
    if (!session_->outboxes_empty()) {
      session_->behind_outboxes([self = self<inbox_base>()] { self->send_finish(); });
      return;
    }
    waits_for_outboxes_ = false;
    sync();
    auto request = protocol::make_request<protocol::receiver, protocol::receiver::finish>(*to);
    protocol::params_of<protocol::receiver::finish>(request);
    session_->urgent();
    session_->call(kj::mv(request),
                   [self = self<inbox_base>()](const protocol::reader&) { self->over(); });
  }

  void over() {
    if (std::exchange(over_, true)) return;
    auto keep = shared_from_this();
    lock_.lock();
    down_ = true;  // no lease holds any more
    lock_.unlock();
    receiver_.reset();
    over_told_.store(true, std::memory_order_release);
    event_.set(*session_->drv());
    release();
    session_->remove(this);
    if (session_->sched().draining.load(std::memory_order_relaxed)) session_->sched().nudge();
  }

  drive_owned<protocol::client> receiver_;
  drive_owned<kj::Promise<void>> ack_timer_, linger_timer_;
  bool over_ = false, waits_for_outboxes_ = false;
  std::atomic<bool> over_told_{false};

  spin_lock lock_;
  std::uint32_t prefetch_ = 0;  // as the home wants it
  std::uint32_t window_ = 1;    // grows from it
  std::uint64_t window_bytes_ = 0, received_bytes_ = 0, taken_bytes_ = 0, told_bytes_ = 0;
  std::uint64_t received_ = 0;  // arrived
  std::uint64_t popped_ = 0;    // left the inbox
  static constexpr std::uint64_t nothing_told = UINT64_MAX;
  std::uint64_t demanded_ = 0, told_ = nothing_told, told_most_ = 0;
  std::uint64_t acked_ = 0, told_acked_ = 0;
  std::set<std::uint64_t> scattered_;  // settled out of order
  std::vector<std::uint64_t> fresh_;   // those of them not told yet
  std::vector<std::uint64_t> returned_, untaken_;
  nanos return_delay_ = 0;
  std::deque<extent> sizes_;
  std::vector<parcel> arrived_;
  std::exception_ptr error_;
  bool pressed_ = false, pressed_bytes_ = false;  // more than half of the demand was answered
  bool posted_ = false, ack_planned_ = false, withdraw_ = false, lingered_ = false;
  bool ended_ = false, down_ = false, receivers_left_ = false;
};

/// What the home calls.
class sink_server final : public capnp::Capability::Server {
 public:
  explicit sink_server(std::shared_ptr<inbox_base> to) : to_(std::move(to)) {}

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using sink = protocol::sink;
    if (interface == sink::id) {
      protocol::reader params(context.getParams());
      switch (method) {
        case sink::push::method: to_->on_push(params, context); return protocol::done();
        case sink::ended::method:
          to_->on_ended(params.get(sink::ended::end));
          protocol::results_of<sink::ended>(context);
          return protocol::done();
        case sink::prefetch::method:
          to_->on_prefetch(params.get(sink::prefetch::items));
          protocol::results_of<sink::prefetch>(context);
          return protocol::done();
        default: break;
      }
    }
    return internalUnimplemented("strait.capnp:Sink", interface, method);
  }

 private:
  std::shared_ptr<inbox_base> to_;
};

}  // namespace strait::inline STRAIT_ABI::detail
