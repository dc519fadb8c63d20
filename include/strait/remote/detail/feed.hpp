// The home's side of a remote receiver: takes values from the channel as far as the peer demands,
// pushes them, and keeps each as a delivery until it is settled.
//
// Invariants
// - A value in `table_` is leased from the channel: if the connection breaks, or the peer gives it
//   back, it is put in front of the channel again. That is the whole redelivery. Several are put
//   back together, so they keep their order. What the peer gives back counts as an attempt only if
//   a goroutine there had it; what it held when the connection broke always does.
// - The feeder takes one value with a wait, as any local receiver does (the channel serves waiters
//   in turn: that is the fairness between receivers), and more without, as far as there is demand.
// - With several receivers (`share(true)`) the peer is told to prefetch nothing and to give back
// what
//   nobody took, and demands made before it heard so do not count.
// - Deliveries are destroyed by goroutines only: they run T's destructor and wake receivers.
#pragma once

#include <strait/remote/detail/session.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include <strait/chan.hpp>
#include <strait/remote/detail/batch.hpp>

namespace strait::inline STRAIT_ABI::detail {

class feed_base : public link_base {
 public:
  feed_base(std::shared_ptr<session> s, std::string name, protocol::client sink)
      : link_base(s), name_(std::move(name)), context_(s->sched()), sink_(s->drv()) {
    sink_.put(kj::mv(sink));
  }

  // -- the drive's side ---------------------------------------------------------------------------

  std::uint32_t prefetch() const noexcept { return prefetch_; }

  /// How it begins, before the peer was answered.
  void begin(bool shared) { prefetch_ = shared ? 0 : session_->limits().window_items; }

  /// Another receiver came, or the other one left.
  void share(bool shared) {
    const std::uint32_t wanted = shared ? 0 : session_->limits().window_items;
    if (wanted == prefetch_) return;
    lock_.lock();
    prefetch_ = wanted;
    demand_ = sent_;
    lock_.unlock();
    auto* const to = sink_.get();
    if (to == nullptr || !session_->standing()) return;
    using method = protocol::sink::prefetch;
    auto request = protocol::make_request<protocol::sink, method>(*to);
    protocol::params_of<method>(request).set(method::items, wanted);
    session_->urgent();
    session_->call(kj::mv(request), [](const protocol::reader&) {});
  }

  void on_demand(std::uint64_t up_to, std::uint64_t acked, std::uint64_t bytes,
                 std::uint32_t prefetch) {
    lock_.lock();
    const bool broken = acked > pushed_;
    if (!broken) {
      if (prefetch == prefetch_) demand_ = std::max(demand_, up_to);
      bytes_ = std::max(bytes_, bytes);
      acked_ = std::max(acked_, acked);
    }
    lock_.unlock();
    if (broken) return session_->abort("refused: the peer acknowledged what it was not sent");
    feeder_.set(*session_->drv());
    keeper_.set(*session_->drv());
  }

  enum class outcome { acked, tried, untaken };
  void on_list(protocol::any::Reader list, outcome how) {
    if (list.isNull()) return;
    auto seqs = list.getAs<capnp::List<std::uint64_t>>();
    lock_.lock();
    auto& to = how == outcome::acked   ? news_.acks
               : how == outcome::tried ? news_.tried
                                       : news_.untaken;
    for (std::uint64_t seq : seqs) {
      if (seq >= pushed_) break;
      to.push_back(seq);
    }
    lock_.unlock();
    keeper_.set(*session_->drv());
  }

  void on_finish() {
    lock_.lock();
    over_ = true;
    lock_.unlock();
    leave();
  }

  void connection_down(const std::string&) override {
    lock_.lock();
    over_ = true;
    lock_.unlock();
    leave();
  }
  /// The peer has dropped its capability.
  void abandoned() {
    if (left_) return;
    connection_down({});
  }

  void stop() noexcept override {
    stopped_.store(true, std::memory_order_release);
    context_.cancel();
    keeper_.set();
  }

 protected:
  /// Tells the rest of the node that this receiver is gone.
  std::function<void()> on_leave_;

  /// The feeder's: how many values may go now; 0: wait for `feeder_`.
  std::size_t may_push() noexcept {
    lock_.lock();
    const bool bytes = pushed_bytes_ < bytes_ || acked_ == sent_ || pushed_ == 0;
    std::uint64_t n = !over_ && bytes && demand_ > sent_ ? demand_ - sent_ : 0;
    const std::uint64_t room = bytes_ - std::min(bytes_, pushed_bytes_);
    n = std::min(n, 1 + room / std::max<std::uint64_t>(1, value_bytes_));
    lock_.unlock();
    return static_cast<std::size_t>(n);
  }
  bool over() noexcept {
    lock_.lock();
    const bool is = over_;
    lock_.unlock();
    return is;
  }

  void push(batch b, std::uint32_t attempt) {
    lock_.lock();
    const std::uint64_t first = sent_;
    sent_ += b.count();
    pushed_bytes_ += b.bytes();
    value_bytes_ = b.bytes() / b.count();
    lock_.unlock();
    session_->drv()->post([self = self<feed_base>(), first, attempt, b = std::move(b)] {
      self->send_push(first, attempt, b);
    });
  }

  void post_ended(protocol::end::kind kind, std::string text) {
    session_->drv()->post(
        [self = self<feed_base>(), kind, text = std::move(text)] { self->send_ended(kind, text); });
  }

  struct settling {
    std::uint64_t acked_up_to = 0;
    std::vector<std::uint64_t> acks, tried, untaken;
    bool over = false;
  };
  settling take_settling() {
    lock_.lock();
    settling s = std::exchange(news_, {});
    s.acked_up_to = acked_;
    s.over = over_;
    lock_.unlock();
    return s;
  }

  const std::string name_;
  link_context context_;
  event feeder_, keeper_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> ended_{false};  // the channel's end was told and heard

 private:
  void leave() {
    if (std::exchange(left_, true)) return;
    auto keep = shared_from_this();
    sink_.reset();
    context_.cancel();
    feeder_.set(*session_->drv());
    keeper_.set(*session_->drv());
    session_->remove(this);
    auto fn = std::move(on_leave_);
    if (fn) fn();
  }

  void send_push(std::uint64_t first, std::uint32_t attempt, const batch& b) {
    auto* const to = sink_.get();
    if (to == nullptr || !session_->standing()) return;
    using method = protocol::sink::push;
    auto request = protocol::make_request<protocol::sink, method>(*to, b.words());
    auto params = protocol::params_of<method>(request);
    params.set(method::first, first);
    params.set(method::bytes, b.bytes());
    params.set(method::attempt, attempt);
    b.read([&](protocol::any::Reader list) { params.get(method::items).set(list); });
    lock_.lock();
    pushed_ = first + b.count();
    lock_.unlock();
    session_->counters().values_out += b.count();
    if (attempt > 1) session_->counters().redelivered += b.count();
    session_->urgent();
    session_->call(kj::mv(request), [self = self<feed_base>()](const protocol::reader& r) {
      self->on_demand(r.get(method::demand_up_to), r.get(method::acked_up_to),
                      r.get(method::bytes_up_to), r.get(method::prefetch));
    });
  }

  void send_ended(protocol::end::kind kind, const std::string& text) {
    auto* const to = sink_.get();
    if (to == nullptr || !session_->standing()) return;
    using method = protocol::sink::ended;
    auto request = protocol::make_request<protocol::sink, method>(*to, 8 + text.size() / 8);
    write_end(protocol::params_of<method>(request).get(method::end), kind, text);
    session_->urgent();
    session_->call(kj::mv(request), [self = self<feed_base>()](const protocol::reader&) {
      self->ended_.store(true, std::memory_order_release);
      if (self->session_->sched().draining.load()) self->session_->sched().nudge();
    });
  }

  drive_owned<protocol::client> sink_;
  bool left_ = false;

  spin_lock lock_;
  std::uint32_t prefetch_ = 0;
  std::uint64_t demand_ = 0, bytes_ = 0;
  std::uint64_t sent_ = 0;    // taken for the peer
  std::uint64_t pushed_ = 0;  // and handed to the connection
  std::uint64_t pushed_bytes_ = 0;
  std::uint64_t value_bytes_ = 4 << 10;  // of one value, as the last batch had them
  std::uint64_t acked_ = 0;
  settling news_;
  bool over_ = false;
};

/// What the receiving process calls.
class receiver_server final : public capnp::Capability::Server {
 public:
  explicit receiver_server(std::shared_ptr<feed_base> to) : to_(std::move(to)) {}
  ~receiver_server() noexcept { to_->abandoned(); }

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using receiver = protocol::receiver;
    if (interface == receiver::id) {
      protocol::reader p(context.getParams());
      switch (method) {
        case receiver::demand::method:
          to_->on_demand(p.get(receiver::demand::up_to), p.get(receiver::demand::acked_up_to),
                         p.get(receiver::demand::bytes_up_to), p.get(receiver::demand::prefetch));
          protocol::results_of<receiver::demand>(context);
          return protocol::done();
        case receiver::ack::method:
          to_->on_list(p.get(receiver::ack::seqs), feed_base::outcome::acked);
          protocol::results_of<receiver::ack>(context);
          return protocol::done();
        case receiver::give_back::method:
          to_->on_list(p.get(receiver::give_back::seqs), p.get(receiver::give_back::tried)
                                                             ? feed_base::outcome::tried
                                                             : feed_base::outcome::untaken);
          protocol::results_of<receiver::give_back>(context);
          return protocol::done();
        case receiver::finish::method:
          to_->on_finish();
          protocol::results_of<receiver::finish>(context);
          return protocol::done();
        default: break;
      }
    }
    return internalUnimplemented("strait.capnp:Receiver", interface, method);
  }

 private:
  std::shared_ptr<feed_base> to_;
};

template <class T>
class feed final : public feed_base {
 public:
  using feed_base::feed_base;

  void start(receiver<T> rx, std::function<void()> on_leave) {
    on_leave_ = std::move(on_leave);
    state_ = chan_access::state(rx);
    context_.launch(0, &feed::feeder, this->template self<feed>(), rx);
    // Not in the cancelled context: it has to put things back after the end.
    auto* const g = spawner::launch(session_->sched(), session_->sched().service_context, nullptr,
                                    goroutine::daemon, std::source_location::current(),
                                    &feed::keeper, this->template self<feed>(), std::move(rx));
    join_handle<void> drop(g);
  }

  bool drained() noexcept override {
    if (over() || ended_.load(std::memory_order_acquire)) return true;
    state_->lock.lock();
    const bool closed = state_->closed;
    state_->lock.unlock();
    return !closed;  // a channel that goes on is not waited for
  }
  std::string left_over() override {
    return "strait: " + name_ + ": a receiver has not taken all values\n";
  }

 private:
  static task<> feeder(std::shared_ptr<feed> self, receiver<T> rx) {
    protocol::end::kind kind = protocol::end::closed;
    std::string text;
    try {
      for (;;) {
        std::size_t n = self->may_push();
        if (n == 0) {
          if (self->over()) break;
          co_await self->feeder_.wait();
          continue;
        }
        delivery<T> first = co_await rx.take();
        if (!first) {
          self->post_ended(kind, std::move(text));
          break;
        }
        self->push_some(std::move(first), n);
      }
    } catch (const cancelled&) {
    } catch (const channel_error& e) {
      kind = e.code() == channel_errc::lost ? protocol::end::lost : protocol::end::failed;
      self->post_ended(kind, e.what());
    } catch (const std::exception& e) {
      text = "strait: " + self->name_ + ": a value cannot be sent: " + e.what();
      self->state_->close(std::make_exception_ptr(failed(text)));
      self->post_ended(protocol::end::failed, std::move(text));
    }
    self->fed_.store(true, std::memory_order_release);
    self->keeper_.set();
  }

  /// Pushes `first` and what else is there, in batches of one attempt each.
  void push_some(delivery<T> first, std::size_t most) {
    const link_limits& limits = session_->limits();
    std::vector<delivery<T>> taken;
    taken.push_back(std::move(first));
    if (most > 1) take_some(taken, std::min(most, most_batch));
    std::size_t at = 0;
    while (at < taken.size()) {
      const std::uint32_t attempt = taken[at].attempt();
      std::size_t end = at, words = 0;
      while (end < taken.size() && taken[end].attempt() == attempt) {
        const std::size_t more = encoded_words<T>(*taken[end]) + 1;
        if (end > at && (words + more) * 8 > limits.batch_bytes) break;
        words += more;
        ++end;
      }
      if (words * 8 > limits.max_item + 64 && end == at + 1) {
        throw codec_error("a value of " + std::to_string(words * 8) + " bytes; the limit is " +
                          std::to_string(limits.max_item));
      }
      batch b = encode_range(taken, at, end);
      mutex_.lock();
      for (; at < end; ++at) table_.emplace_back(std::move(taken[at]));
      mutex_.unlock();
      push(std::move(b), attempt);
    }
  }

  struct view {  // a range of values for the codec, without moving them out of their deliveries
    struct iterator {
      using value_type = T;
      using difference_type = std::ptrdiff_t;
      delivery<T>* at;
      T& operator*() const { return **at; }
      iterator& operator++() {
        ++at;
        return *this;
      }
      iterator operator++(int) { return iterator{at++}; }
      bool operator==(const iterator&) const = default;
    };
    iterator begin() const { return {first}; }
    iterator end() const { return {last}; }
    std::size_t size() const { return static_cast<std::size_t>(last - first); }
    delivery<T>*first, *last;
  };

  batch encode_range(std::vector<delivery<T>>& taken, std::size_t at, std::size_t end) {
    const view values{taken.data() + at, taken.data() + end};
    capnp::MallocMessageBuilder builder(1024);
    auto root = builder.getRoot<capnp::AnyPointer>();
    encode_batch<T>(root, values);
    return copy_values(root.asReader());
  }

  void take_some(std::vector<delivery<T>>& out, std::size_t most) {
    ready_list woken;
    state_->lock.lock();
    while (out.size() < most) {
      lease_node<T> node;
      node.recv_node_base::take = true;
      if (!state_->recv_locked(node, woken) || node.status != op_status::done) break;
      out.emplace_back(std::move(node.slot), state_, node.token, node.attempt);
    }
    state_->lock.unlock();
    scheduler::ready_all(woken);
  }

  static task<> keeper(std::shared_ptr<feed> self, [[maybe_unused]] receiver<T> keep_open) {
    for (;;) {
      settling s = self->take_settling();
      self->settle(std::move(s));
      if (self->stopped_.load(std::memory_order_acquire) ||
          (s.over && self->fed_.load(std::memory_order_acquire))) {
        break;
      }
      co_await self->keeper_.wait();
    }
    self->put_back_all();
  }

  void settle(settling s) {
    std::vector<delivery<T>> acked, tried, untaken;
    std::sort(s.tried.begin(), s.tried.end());
    std::sort(s.untaken.begin(), s.untaken.end());
    mutex_.lock();
    while (base_ < s.acked_up_to && !table_.empty()) {
      acked.push_back(std::move(table_.front()));
      table_.pop_front();
      ++base_;
    }
    for (std::uint64_t seq : s.acks) move_out(seq, acked);
    for (std::uint64_t seq : s.tried) move_out(seq, tried);
    for (std::uint64_t seq : s.untaken) move_out(seq, untaken);
    while (!table_.empty() && !table_.front().pending()) {
      table_.pop_front();
      ++base_;
    }
    mutex_.unlock();
    for (auto& d : acked) {
      if (d.pending()) d.ack();
    }
    put_back(untaken, false);
    put_back(tried, true);
  }

  void move_out(std::uint64_t seq, std::vector<delivery<T>>& to) {
    if (seq < base_ || seq - base_ >= table_.size()) return;
    delivery<T>& d = table_[static_cast<std::size_t>(seq - base_)];
    if (d.pending()) to.push_back(std::move(d));
  }

  void put_back_all() {
    std::vector<delivery<T>> all;
    mutex_.lock();
    for (auto& d : table_) {
      if (d.pending()) all.push_back(std::move(d));
    }
    table_.clear();
    mutex_.unlock();
    put_back(all, true);
  }

  /// In the order in which they were taken.
  void put_back(std::vector<delivery<T>>& these, bool tried) {
    if (these.empty()) return;
    std::vector<std::unique_ptr<typename chan_state<T>::returned_node>> nodes;
    nodes.reserve(these.size());
    for (auto& d : these) nodes.push_back(d.detach(tried));
    state_->give_back_all(nodes);
  }

  static constexpr std::size_t most_batch = 8192;

  chan_state<T>* state_ = nullptr;
  std::atomic<bool> fed_{false};
  std::mutex mutex_;  // guards the table; never held while a delivery dies
  std::deque<delivery<T>> table_;
  std::uint64_t base_ = 0;  // the number of table_'s first
};

}  // namespace strait::inline STRAIT_ABI::detail
