// What the engine's tests and its round-trip measurement share: a minimal worker loop on the
// parking seam, and a link that carries int64 values, one streaming push each way.
#pragma once

#include <strait/remote/detail/peer.hpp>
#include <strait/remote/detail/socket.hpp>

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

namespace engine {

namespace sd = strait::detail;
namespace wire = strait::detail::protocol;
using sd::driver;
using sd::nanos;

/// Workers with one queue, parked in the driver: the shape of the real scheduler, nothing more.
class workers {
 public:
  workers(driver& d, int count) : driver_(d) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { loop(); });
  }
  ~workers() { stop(); }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    for (std::size_t i = 0; i < threads_.size(); ++i) driver_.wake();
    for (auto& t : threads_) t.join();
    threads_.clear();
  }

  void push(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(job));
    }
    if (idle_.load(std::memory_order_seq_cst) > 0) driver_.wake();
  }

  /// Resumes per thread that took a job: how much the work moved around.
  std::uint64_t switches() const { return switches_.load(); }

 private:
  void loop() {
    unsigned turn = 0;
    for (;;) {
      std::function<void()> job;
      {
        std::lock_guard lock(mutex_);
        if (stop_) {
          driver_.wake();
          return;
        }
        if (!queue_.empty()) {
          job = std::move(queue_.front());
          queue_.pop_front();
          if (last_ != std::this_thread::get_id()) switches_.fetch_add(1);
          last_ = std::this_thread::get_id();
          if (!queue_.empty() && idle_.load() > 0) driver_.wake();
        }
      }
      if (job) {
        job();
        if (++turn % 61 == 0) driver_.poll();
        continue;
      }
      if (driver_.poll()) continue;
      idle_.fetch_add(1, std::memory_order_seq_cst);
      bool work;
      {
        std::lock_guard lock(mutex_);
        work = stop_ || !queue_.empty();
      }
      if (!work) driver_.wait(sd::never);
      idle_.fetch_sub(1);
    }
  }

  driver& driver_;
  std::mutex mutex_;
  std::deque<std::function<void()>> queue_;
  std::thread::id last_;
  std::atomic<int> idle_{0};
  std::atomic<std::uint64_t> switches_{0};
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

/// Runs `f` in a drive and returns its result; for threads that are no workers.
template <class F>
auto in_drive(driver& d, F f) {
  using result = std::invoke_result_t<F>;
  std::promise<result> promise;
  auto future = promise.get_future();
  d.post([&] {
    if constexpr (std::is_void_v<result>) {
      f();
      promise.set_value();
    } else {
      promise.set_value(f());
    }
  });
  d.drive(true);
  return future.get();
}

/// Values in, as words copied out of the message, given to a goroutine of `to`.
class sink final : public capnp::Capability::Server {
 public:
  using taken = std::function<void(std::vector<std::int64_t>)>;
  sink(driver& d, std::shared_ptr<taken> fn) : driver_(d), fn_(std::move(fn)) {}

  wire::dispatched dispatchCall(std::uint64_t, std::uint16_t method,
                                wire::call_context context) override {
    using push = wire::sender::push;
    if (method != push::method) return wire::done();
    wire::reader params(context.getParams());
    auto items = params.get(push::items).getAs<capnp::AnyList>();
    auto raw = items.getRawBytes();
    struct parcel {  // outlives this object: it is opened after the unlock
      std::shared_ptr<taken> to;
      std::vector<std::int64_t> values;
    };
    auto* p = new parcel{fn_, std::vector<std::int64_t>(raw.size() / 8)};
    std::memcpy(p->values.data(), raw.begin(), raw.size());
    context.releaseParams();
    wire::results_of<push>(context).set(push::accepted_up_to, 1);
    driver_.ready(
        [](void* arg) noexcept {
          std::unique_ptr<parcel> own(static_cast<parcel*>(arg));
          (*own->to)(std::move(own->values));
        },
        p);
    return wire::done();
  }

 private:
  driver& driver_;
  std::shared_ptr<taken> fn_;
};

/// The bootstrap object: gives the peer a sink for its values, takes one for ours.
class hub final : public capnp::Capability::Server {
 public:
  using opened = std::function<wire::client(wire::client theirs)>;
  explicit hub(opened fn) : fn_(std::move(fn)) {}

  wire::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                wire::call_context context) override {
    if (interface == wire::session::id && method == wire::session::ping::method) {
      wire::results_of<wire::session::ping>(context);
      if (on_ping) on_ping();
      return wire::done();
    }
    wire::reader params(context.getParams());
    auto ours = fn_(params.cap(wire::hub::open::me));
    wire::results_of<wire::hub::open>(context, 0, 1).cap(wire::hub::open::session, kj::mv(ours));
    return wire::done();
  }

  std::function<void()> on_ping;

 private:
  opened fn_;
};

/// One side of a connection that carries values. Everything KJ is touched in drives only.
class value_link {
 public:
  using taken = sink::taken;

  value_link(driver& d, taken fn, sd::peer_options o = {})
      : driver_(d), options_(o), fn_(std::make_shared<taken>(std::move(fn))) {}

  ~value_link() {
    in_drive(driver_, [&] {
      if (tasks_.get() != nullptr) tasks_ = nullptr;
      to_ = nullptr;
      peer_.reset();
    });
  }

  void accept(sd::unique_fd fd) {
    driver_.require_drive();
    auto h = kj::heap<hub>([this](wire::client theirs) -> wire::client {
      peer_->established();
      peer_->urgent();
      to_ = kj::mv(theirs);
      opened_.set_value();
      return kj::heap<sink>(driver_, fn_);
    });
    h->on_ping = [this] {
      pings_.fetch_add(1);
      peer_->urgent();
    };
    start_tasks();
    peer_ = sd::peer::accept(driver_, std::move(fd), options_, kj::mv(h),
                             [this](std::string why) { down_.set_value(std::move(why)); });
  }

  void dial(sd::unique_fd fd) {
    driver_.require_drive();
    start_tasks();
    peer_ = sd::peer::dial(driver_, std::move(fd), options_,
                           [this](std::string why) { down_.set_value(std::move(why)); });
    auto boot = peer_->bootstrap();
    using open = wire::hub::open;
    auto request = wire::make_request<wire::hub, open>(boot, 0, 1, true);
    wire::params_of<open>(request).cap(open::me, kj::heap<sink>(driver_, fn_));
    peer_->urgent();
    tasks_->add(request.send().then([this, boot](wire::response&& r) mutable {
      peer_->established(kj::mv(boot));
      to_ = wire::reader(r).cap(open::session);
      opened_.set_value();
    }));
  }

  /// From any thread: one push of `values`; the next drive sends it.
  void send(std::vector<std::int64_t> values) {
    driver_.post([this, values = std::move(values)] {
      using push = wire::sender::push;
      auto* to = sd::as_pointer(to_);
      if (!to || !peer_->standing()) return;
      auto request = wire::make_request<wire::sender, push>(*to, values.size() + 1);
      auto params = wire::params_of<push>(request);
      auto list = params.get(push::items)
                      .initAs<capnp::List<std::int64_t>>(static_cast<kj::uint>(values.size()));
      for (kj::uint i = 0; i < list.size(); ++i) list.set(i, values[i]);
      peer_->urgent();
      in_flight_.fetch_add(1);
      tasks_->add(request.send().then([this](wire::response&&) { in_flight_.fetch_sub(1); }));
    });
  }

  void abort(std::string why) {
    driver_.post([this, why = std::move(why)] {
      if (peer_) peer_->abort(why);
    });
  }

  std::future<void> opened() { return opened_.get_future(); }
  std::future<std::string> down() { return down_.get_future(); }
  int in_flight() const { return in_flight_.load(); }
  int pings() const { return pings_.load(); }
  sd::peer& peer() { return *peer_; }

 private:
  struct failures final : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}
  };
  void start_tasks() { tasks_ = kj::heap<kj::TaskSet>(failures_); }

  driver& driver_;
  sd::peer_options options_;
  std::shared_ptr<taken> fn_;
  failures failures_;
  kj::Own<kj::TaskSet> tasks_;
  std::unique_ptr<sd::peer> peer_;
  kj::Maybe<wire::client> to_;
  std::promise<void> opened_;
  std::promise<std::string> down_;
  std::atomic<int> in_flight_{0}, pings_{0};
};

}  // namespace engine
