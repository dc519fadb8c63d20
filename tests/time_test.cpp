// Sleeping, timers and tickers: on the virtual clock, to the nanosecond.
#include <strait/time.hpp>

#include <stdexcept>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;

template <class F>
st::sim::outcome simulated(F f) {
  return st::sim::run(1, f);
}

TEST(time, a_sleep_lasts_as_long_as_it_says) {
  const auto o = simulated([]() -> st::task<> {
    const auto start = st::now();
    co_await st::sleep(3ms);
    EXPECT_EQ(st::now() - start, 3ms);
    co_await st::sleep(0ms);
    co_await st::sleep(-5s);
    co_await st::sleep_until(start);
    EXPECT_EQ(st::now() - start, 3ms);
    co_await st::sleep_until(start + 10ms);
    EXPECT_EQ(st::now() - start, 10ms);
    co_await st::sleep(std::chrono::duration<double, std::milli>(0.5));
    EXPECT_EQ(st::now() - start, 10500us);
  });
  EXPECT_EQ(o.elapsed, 10500us);
}

TEST(time, real_sleeps_are_never_short) {
  strait_test::run_on(2, []() -> st::task<> {
    for (int i = 0; i < 5; ++i) {
      const auto start = std::chrono::steady_clock::now();
      co_await st::sleep(2ms);
      EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
    }
  });
}

TEST(time, an_endless_duration_never_ends) {
  simulated([]() -> st::task<> {
    EXPECT_THROW(co_await st::with_timeout(1h, st::sleep(std::chrono::hours::max())),
                 st::timed_out);
    EXPECT_THROW(co_await st::with_timeout(1h, st::sleep(std::chrono::nanoseconds::max())),
                 st::timed_out);
  });
}

TEST(time, sleepers_wake_in_order_of_their_time) {
  simulated([]() -> st::task<> {
    std::vector<int> order;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (const int ms : {50, 10, 40, 20, 30, 10}) {
        g.go([&order, ms]() -> st::task<> {
          co_await st::sleep(std::chrono::milliseconds(ms));
          order.push_back(ms);
        });
      }
      co_return;
    });
    EXPECT_EQ(order, (std::vector<int>{10, 10, 20, 30, 40, 50}));
  });
}

TEST(time, after_alone_gives_when_it_was_due) {
  st::sim::run(1, []() -> st::task<> {
    const auto start = st::now();
    const auto due = co_await st::after(20ms);
    EXPECT_EQ(due, start + 20ms);
    const auto at = co_await st::at(start + 50ms);
    EXPECT_EQ(at, start + 50ms);
    const auto inside = co_await st::with_timeout(1h, st::after(1s));
    EXPECT_EQ(inside, start + 1050ms);
  });
}

TEST(time, after_is_a_timeout_in_select_and_leaves_no_timer) {
  const auto o = simulated([]() -> st::task<> {
    st::chan<int> c(1);
    const auto start = st::now();
    auto s = co_await st::select{c.recv(), st::after(20ms)};
    EXPECT_EQ(s.index(), 1u);
    EXPECT_EQ(s.get<1>() - start, 20ms);
    co_await c.send(1);
    auto t = co_await st::select{c.recv(), st::after(1h)};
    EXPECT_EQ(t.index(), 0u);
    auto u = co_await st::select{c.recv(), st::after(0s)};
    EXPECT_EQ(u.index(), 1u);
    auto v = co_await st::select{c.recv(), st::at(start + 25ms)};
    EXPECT_EQ(v.index(), 1u);
  });
  EXPECT_EQ(o.elapsed, 25ms);
}

TEST(time, a_stopped_timer_has_no_stale_value) {
  simulated([]() -> st::task<> {
    st::timer t(10ms);
    co_await st::sleep(20ms);
    EXPECT_TRUE(t.stop());  // it had fired, and nobody had received that
    auto s = co_await st::select{t.recv(), st::after(1s)};
    EXPECT_EQ(s.index(), 1u);
    EXPECT_FALSE(t.stop());
    const auto start = st::now();
    EXPECT_FALSE(t.reset(5ms));
    EXPECT_TRUE(t.reset(7ms));
    auto at = co_await t.recv();
    EXPECT_EQ(*at - start, 7ms);
    EXPECT_EQ(st::now() - start, 7ms);
    EXPECT_FALSE(t.stop());
  });
}

TEST(time, a_timers_value_is_when_it_was_due_not_when_it_was_received) {
  simulated([]() -> st::task<> {
    const auto start = st::now();
    st::timer t(10ms);
    co_await st::sleep(1s);
    auto at = co_await t.recv();
    EXPECT_EQ(*at - start, 10ms);
  });
}

TEST(time, a_ticker_ticks_and_a_slow_receiver_misses_ticks) {
  simulated([]() -> st::task<> {
    const auto start = st::now();
    st::ticker tick(10ms);
    for (int i = 1; i <= 3; ++i) {
      auto at = co_await tick.recv();
      EXPECT_EQ(*at - start, i * 10ms);
    }
    co_await st::sleep(55ms);  // until 85: ticks of 40 to 80 are due
    auto kept = co_await tick.recv();
    EXPECT_EQ(*kept - start, 80ms);
    auto next = co_await tick.recv();
    EXPECT_EQ(*next - start, 90ms);
    tick.reset(100ms);
    auto later = co_await tick.recv();
    EXPECT_EQ(*later - start, 190ms);
    auto waiting = st::go([&tick]() -> st::task<bool> {
      auto end = co_await tick.recv();
      co_return end.closed();
    });
    co_await st::yield();
    tick.stop();
    const bool closed = co_await waiting;
    EXPECT_TRUE(closed);
    auto again = co_await tick.recv();
    EXPECT_FALSE(again);
    EXPECT_THROW(st::ticker(0ms), std::invalid_argument);
    EXPECT_THROW(tick.reset(-1s), std::invalid_argument);
  });
}

// Each tick goes to one receiver, with its own time, while the next one fires on another worker.
TEST(time, several_receivers_share_a_ticker_on_real_workers) {
  const auto ticks = static_cast<int>(strait_test::scaled(1000));
  strait_test::run_on(2, [&]() -> st::task<> {
    st::ticker tick(10us);
    std::vector<st::join_handle<int>> receivers;
    for (int i = 0; i < 3; ++i) {
      receivers.push_back(st::go([&tick]() -> st::task<int> {
        int n = 0;
        auto last = st::clock::time_point::min();
        while (auto at = co_await tick.recv()) {
          EXPECT_GT(*at, last);
          last = *at;
          ++n;
        }
        co_return n;
      }));
    }
    co_await st::sleep(10us * ticks);
    tick.stop();
    int sum = 0;
    for (auto& r : receivers) sum += co_await r;
    EXPECT_GT(sum, 0);
    EXPECT_LE(sum, 2 * ticks + 1000);
  });
}

TEST(time, a_cancelled_sleep_ends_at_once) {
  const auto o = simulated([]() -> st::task<> {
    EXPECT_THROW(co_await st::with_timeout(5ms, st::sleep(1h)), st::timed_out);
  });
  EXPECT_EQ(o.elapsed, 5ms);
}

TEST(time, busy_goroutines_do_not_starve_a_timer) {
  strait_test::run_on(1, []() -> st::task<> {
    bool stop = false;
    const auto spin = [&stop]() -> st::task<> {
      while (!stop) co_await st::yield();
    };
    auto one = st::go(spin), two = st::go(spin);
    const auto start = std::chrono::steady_clock::now();
    co_await st::sleep(5ms);
    const auto took = std::chrono::steady_clock::now() - start;
    stop = true;
    co_await one;
    co_await two;
    EXPECT_LT(took, 2s);
  });
}

TEST(time, many_timers_fire_once_each_on_real_workers) {
  strait_test::run_on(2, []() -> st::task<> {
    std::atomic<int> fired{0};
    const int n = static_cast<int>(strait_test::scaled(20'000));
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < n; ++i) {
        g.go([&fired, i]() -> st::task<> {
          co_await st::sleep(std::chrono::microseconds(i % 3000));
          fired.fetch_add(1);
        });
      }
      co_return;
    });
    EXPECT_EQ(fired.load(), n);
  });
}

}  // namespace
