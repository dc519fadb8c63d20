// Go's src/time/sleep_test.go and tick_test.go, by name. On the virtual clock, where times are
// exact, and on threads where it is about them. A timer has no channel here: recv() is the receive.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using strait_test::run_on;
using strait_test::scaled;
using time_point = st::clock::time_point;

/// More than any machine is ever late. An upper bound on real time only tells a hang.
constexpr auto late = 30s;

/// Runs `f` simulated, once for each of `n` seeds.
template <class F>
void in_simulations(std::uint64_t n, F f) {
  for (std::uint64_t seed = 1; seed <= n; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    st::sim::run(seed, f);
  }
}

/// The value that was received; empty if there was none.
template <class T>
std::optional<T> value_of(const st::received<T>& r) {
  return r ? std::optional<T>(*r) : std::nullopt;
}

/// When a timer or ticker fired, if it has; never waits.
template <class Alarm>
st::task<std::optional<time_point>> poll(Alarm& t) {
  auto s = co_await st::select{t.recv(), st::otherwise};
  if (s.index() == 1) co_return std::nullopt;
  co_return value_of(s.template get<0>());
}

/// Waits for after(d), which is a case of select, and gives the time when it was due.
st::task<time_point> due_after(nanoseconds d) {
  auto s = co_await st::select{st::after(d)};
  co_return s.get<0>();
}

/// Makes and ends goroutines until `stop`, so that the workers are never idle.
st::task<> keep_busy(const std::atomic<bool>& stop) {
  while (!stop) {
    auto one = st::go([]() -> st::task<> { co_await st::yield(); });
    co_await one;
  }
}

// ---------------------------------------------------------------- sleep_test

// A sleep lasts no less than it says, also when others wake meanwhile.
TEST(GoTime, TestSleep) {
  const auto program = []() -> st::task<> {
    static constexpr auto delay = 20ms;
    auto other = st::go([]() -> st::task<> { co_await st::sleep(delay / 2); });
    const auto start = st::now();
    co_await st::sleep(delay);
    EXPECT_GE(st::now() - start, delay);
    EXPECT_LT(st::now() - start, late);
    co_await other;
  };
  in_simulations(5, [&]() -> st::task<> {
    const auto start = st::now();
    co_await program();
    EXPECT_EQ(st::now() - start, 20ms);
  });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program);
}

/// A hundred ticks of a ticker that is always late.
st::task<> hundred_ticks() {
  st::ticker t(1ns);
  auto last = time_point::min();
  for (int i = 0; i < 100; ++i) {
    const auto at = co_await t.recv();
    EXPECT_GT(value_of(at), last);
    last = value_of(at).value_or(last);
  }
  t.stop();
}

// A ticker of one nanosecond ticks although the workers are busy.
TEST(GoTime, TestTickerStress) {
  in_simulations(10, hundred_ticks);
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, []() -> st::task<> {
      std::atomic<bool> stop = false;
      auto busy = st::go(keep_busy, std::cref(stop));
      co_await hundred_ticks();
      stop = true;
      co_await busy;
    });
  }
}

// So do ten at the same time.
TEST(GoTime, TestTickerConcurrentStress) {
  const auto ten = []() -> st::task<> {
    co_await st::scope([](st::group& g) -> st::task<> {
      for (int i = 0; i < 10; ++i) g.go(hundred_ticks);
      co_return;
    });
  };
  in_simulations(10, ten);
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, [&]() -> st::task<> {
      std::atomic<bool> stop = false;
      auto busy = st::go(keep_busy, std::cref(stop));
      co_await ten();
      stop = true;
      co_await busy;
    });
  }
}

// Two goroutines that pass a value to and fro without pause, on one worker, cannot keep a timer
// from firing.
TEST(GoTime, TestAfterFuncStarvation) {
  run_on(1, []() -> st::task<> {
    std::atomic<bool> stop = false;
    std::uint64_t passes = 0;
    st::chan<int> there(1), back(1);
    auto alarm = st::go([&]() -> st::task<> {
      st::timer t(50ms);
      co_await t.recv();
      stop = true;
    });
    auto pong = st::go([&]() -> st::task<> {
      while (auto v = co_await there.recv()) co_await back.send(*v);
    });
    while (!stop) {
      co_await there.send(1);
      co_await back.recv();
      ++passes;
    }
    there.close();
    co_await pong;
    co_await alarm;
    EXPECT_GT(passes, 0u);
  });
}

// after() is ready no sooner than it says, and gives the time when it was due.
TEST(GoTime, TestAfter) {
  in_simulations(5, []() -> st::task<> {
    const auto start = st::now();
    const auto at = co_await due_after(100ms);
    EXPECT_EQ(at - start, 100ms);
    EXPECT_EQ(st::now() - start, 100ms);
  });
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, []() -> st::task<> {
      const auto start = st::now();
      const auto at = co_await due_after(20ms);
      EXPECT_GE(at - start, 20ms);
      EXPECT_GE(st::now(), at);
      EXPECT_LT(st::now() - start, late);
    });
  }
}

// Ten of them in a row take ten times as long.
TEST(GoTime, TestAfterTick) {
  in_simulations(5, []() -> st::task<> {
    const auto start = st::now();
    for (int i = 1; i <= 10; ++i) {
      const auto at = co_await due_after(100ms);
      EXPECT_EQ(at - start, i * 100ms);
    }
    EXPECT_EQ(st::now() - start, 1s);
  });
  run_on(1, []() -> st::task<> {
    const auto start = st::now();
    for (int i = 0; i < 10; ++i) co_await due_after(2ms);
    EXPECT_GE(st::now() - start, 20ms);
    EXPECT_LT(st::now() - start, late);
  });
}

// A timer that is stopped in time never fires; stopping it again says that there was nothing to
// stop.
TEST(GoTime, TestAfterStop) {
  in_simulations(10, []() -> st::task<> {
    st::timer unrelated(100ms), early(50ms), waited_for(150ms);
    co_await st::scope([&](st::group& g) -> st::task<> {
      auto waiter = g.go([&]() -> st::task<> {
        co_await waited_for.recv();
        ADD_FAILURE() << "a timer that was stopped fired";
      });
      co_await st::yield();
      EXPECT_TRUE(early.stop());
      EXPECT_TRUE(waited_for.stop());
      co_await due_after(200ms);
      const auto fired = co_await poll(early);
      EXPECT_EQ(fired, std::nullopt) << "a timer that was stopped fired";
      EXPECT_FALSE(waiter.done());
      EXPECT_FALSE(early.stop()) << "it was stopped before";
      EXPECT_FALSE(waited_for.stop()) << "it was stopped before";
      g.cancel();
    });
  });
}

// Thirteen goroutines, started in no order, go on in the order of their timeouts.
TEST(GoTime, TestAfterQueuing) {
  in_simulations(20, []() -> st::task<> {
    constexpr int slots[] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
    const auto start = st::now();
    std::vector<int> order;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (const int slot : slots) {
        g.go([&, slot]() -> st::task<> {
          const auto at = co_await due_after(slot * 10ms);
          EXPECT_GE(at - start, slot * 10ms);
          order.push_back(slot);
        });
      }
      co_return;
    });
    EXPECT_EQ(order.size(), std::size(slots));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  });
}

// A hundred timers are stopped while somebody waits for each: none fires.
TEST(GoTime, TestTimerStopStress) {
  const auto one = [](nanoseconds unit) -> st::task<> {
    st::timer t(2 * unit);
    st::chan<bool> done(0);
    auto waiter = st::go([&]() -> st::task<> {
      const auto s = co_await st::select{t.recv(), done.recv()};
      EXPECT_EQ(s.index(), 1u) << "a timer that was stopped fired";
    });
    co_await st::sleep(unit / 1000);
    EXPECT_TRUE(t.stop());
    co_await st::sleep(unit / 1000);
    done.close();
    co_await waiter;
  };
  const auto program = [&](nanoseconds unit) -> st::task<> {
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 100; ++i) g.go(one, unit);
      co_return;
    });
  };
  in_simulations(5, [&]() -> st::task<> { co_await program(1s); });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, nanoseconds(late));
}

// Sleeping for no time does not hang, whatever the other workers do.
TEST(GoTime, TestSleepZeroDeadlock) {
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, []() -> st::task<> {
      std::atomic<bool> stop = false;
      auto busy = st::go(keep_busy, std::cref(stop));
      const auto rounds = scaled(10'000);
      for (std::uint64_t i = 0; i < rounds; ++i) {
        co_await st::sleep(0s);
        st::chan<bool> c(1);
        co_await c.send(true);
        co_await c.recv();
      }
      stop = true;
      co_await busy;
    });
  }
}

// A timer that is reset before it fires does so at its new time; reset says whether it was active.
TEST(GoTime, TestReset) {
  in_simulations(3, []() -> st::task<> {
    for (const auto unit : {1ms, 5ms, 10ms, 50ms, 100ms}) {
      st::timer t(2 * unit);
      co_await st::sleep(unit);
      EXPECT_TRUE(t.reset(3 * unit)) << "it had not fired";
      const auto due = st::now() + 3 * unit;
      co_await st::sleep(2 * unit);
      auto fired = co_await poll(t);
      EXPECT_EQ(fired, std::nullopt) << "fired at the time before";
      co_await st::sleep(2 * unit);
      fired = co_await poll(t);
      EXPECT_EQ(fired, due);
      EXPECT_FALSE(t.reset(50ms)) << "it had fired";
    }
  });
}

// The longest duration never ends, and the least one at once.
TEST(GoTime, TestOverflowSleep) {
  const auto program = []() -> st::task<> {
    static constexpr auto most = nanoseconds::max(), least = nanoseconds::min();
    auto sleeper = st::go([]() -> st::task<> {
      co_await st::sleep(most);
      ADD_FAILURE() << "slept to the end";
    });
    st::timer t(most);
    const auto big = co_await st::select{st::after(most), t.recv(),
                                         st::after(std::chrono::hours::max()), st::after(25ms)};
    EXPECT_EQ(big.index(), 3u);
    const auto start = st::now();
    co_await st::sleep(least);
    const auto small = co_await st::select{st::after(least), st::after(late)};
    EXPECT_EQ(small.index(), 0u);
    t.reset(least);
    const auto again = co_await st::select{t.recv(), st::after(late)};
    EXPECT_EQ(again.index(), 0u);
    EXPECT_LT(st::now() - start, late);
    EXPECT_FALSE(sleeper.done());
  };
  in_simulations(5, program);
  for (const unsigned workers : {1u, 4u}) run_on(workers, program);
}

// A timer of no time fires at once, a million times: new, as a timeout, and reset.
TEST(GoTime, TestZeroTimer) {
  const auto program = [](std::uint64_t n) -> st::task<> {
    st::timer kept(0s);
    co_await kept.recv();
    auto longest = 0ns;
    for (std::uint64_t i = 0; i < n; ++i) {
      const auto start = st::now();
      if (i % 3 == 0) {
        st::timer t(0s);
        co_await t.recv();
      } else if (i % 3 == 1) {
        co_await st::select{st::after(0s)};
      } else {
        EXPECT_FALSE(kept.reset(0s));
        co_await kept.recv();
      }
      longest = std::max<nanoseconds>(longest, st::now() - start);
    }
    EXPECT_LT(longest, late);
  };
  in_simulations(3, [&]() -> st::task<> {
    const auto start = st::now();
    co_await program(1000);
    EXPECT_EQ(st::now(), start);
  });
  for (const unsigned workers : {1u, 2u}) run_on(workers, program, scaled(1'000'000));
}

// A timer that is stopped and reset to a time that has passed, again and again, fires.
TEST(GoTime, TestTimerModifiedEarlier) {
  const auto program = []() -> st::task<> {
    const nanoseconds past = -st::now().time_since_epoch();
    for (int i = 0; i < 1000; ++i) {
      st::timer t(1h);
      for (int j = 0; j < 10; ++j) {
        EXPECT_TRUE(t.stop());
        EXPECT_FALSE(t.reset(past));
      }
      st::timer deadline(late);
      const auto s = co_await st::select{t.recv(), deadline.recv()};
      EXPECT_EQ(s.index(), 0u) << "a timer that is due did not fire";
    }
  };
  in_simulations(3, program);
  for (const unsigned workers : {1u, 4u}) run_on(workers, program);
}

/// Does what it likes with a timer of its own, and checks each step against what must be so.
st::task<> drive_timer(std::uint32_t seed, int steps, bool simulated) {
  std::mt19937 random(seed);
  const auto some_time = [&random] { return nanoseconds(random() % 5'000'000); };
  const auto begin = st::now();
  nanoseconds delay = some_time();
  st::timer t(delay);
  bool active = true;  // set, and neither stopped nor received
  time_point due_from = begin + delay, due_to = st::now() + delay;
  const auto check_fired = [&](std::optional<time_point> at) {
    EXPECT_TRUE(active);
    EXPECT_GE(at, due_from);
    EXPECT_LE(at, due_to);
    EXPECT_LE(at, st::now()) << "fired early";
    active = false;
  };
  for (int i = 0; i < steps; ++i) {
    switch (random() % 5) {
      case 0: {
        delay = random() % 4 == 0 ? 0ns : some_time();
        due_from = st::now() + delay;
        EXPECT_EQ(t.reset(delay), active);
        due_to = st::now() + delay;
        active = true;
        break;
      }
      case 1:
        EXPECT_EQ(t.stop(), active);
        active = false;
        break;
      case 2: {
        const auto at = co_await poll(t);
        if (at) check_fired(at);
        if (simulated) {
          EXPECT_FALSE(active && due_to < st::now()) << "it had not fired in time";
        }
        break;
      }
      case 3: {
        const auto longest = some_time();
        const auto until = st::now() + longest;
        auto s = co_await st::select{t.recv(), st::after(longest)};
        if (s.index() == 0) check_fired(value_of(s.get<0>()));
        if (simulated) {
          EXPECT_FALSE(active && due_to < until) << "it had not fired in time";
        }
        break;
      }
      default: co_await st::sleep(some_time() / 4);
    }
  }
  if (active) {
    const auto at = co_await t.recv();
    check_fired(value_of(at));
  }
  EXPECT_FALSE(t.stop());
}

// A hundred timers that are set, reset, stopped, polled and waited for at random, all at once.
TEST(GoTime, TestAdjustTimers) {
  const auto program = [](std::uint32_t seed, int steps, bool simulated) -> st::task<> {
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (std::uint32_t i = 0; i < 100; ++i) g.go(drive_timer, 100 * seed + i, steps, simulated);
      co_return;
    });
  };
  std::uint32_t seed = 0;
  in_simulations(5, [&]() -> st::task<> { co_await program(++seed, 200, true); });
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, program, ++seed, static_cast<int>(scaled(200)), false);
  }
}

/// Of two timers that fire together one is received; `end_it` stops or resets the other, and says
/// whether it was active. Only then is there nothing left to receive, and as nobody has received
/// it, it always was.
template <class EndIt>
void check_result_of_ending(EndIt end_it) {
  const auto one = [&](int rounds) -> st::task<> {
    for (int i = 0; i < rounds; ++i) {
      st::timer a(1ms), b(1ms);
      const auto s = co_await st::select{a.recv(), b.recv()};
      st::timer& other = s.index() == 0 ? b : a;
      EXPECT_TRUE(end_it(other)) << "nobody had received its value";
      const auto left = co_await poll(other);
      EXPECT_EQ(left, std::nullopt) << "a value of the time before";
      st::timer& received = s.index() == 0 ? a : b;
      EXPECT_FALSE(end_it(received)) << "its value was received";
    }
  };
  const auto program = [&](std::uint64_t goroutines, int rounds) -> st::task<> {
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (std::uint64_t i = 0; i < goroutines; ++i) g.go(one, rounds);
      co_return;
    });
  };
  in_simulations(5, [&]() -> st::task<> { co_await program(20, 20); });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, scaled(1000), 20);
}

// stop() says false only if the value was received: a timer that fired meanwhile counts as active.
TEST(GoTime, TestStopResult) {
  check_result_of_ending([](st::timer& t) { return t.stop(); });
}

// So does reset().
TEST(GoTime, TestResetResult) {
  check_result_of_ending([](st::timer& t) { return t.reset(1h); });
}

// Several goroutines wait for one ticker, each with a timeout as well: each tick wakes one of them.
TEST(GoTime, TestMultiWakeupTicker) {
  const auto program = [](std::uint64_t rounds) -> st::task<> {
    st::ticker tick(1us);
    std::atomic<std::uint64_t> ticks = 0;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 4; ++i) {
        g.go([&, rounds]() -> st::task<> {
          auto last = time_point::min();
          for (std::uint64_t n = 0; n < rounds; ++n) {
            auto s = co_await st::select{tick.recv(), st::after(1ms)};
            if (s.index() != 0) continue;
            const auto at = value_of(s.get<0>());
            EXPECT_GT(at, last) << "one tick was received twice";
            last = at.value_or(last);
            ++ticks;
          }
        });
      }
      co_return;
    });
    EXPECT_GT(ticks.load(), 0u);
  };
  in_simulations(3, [&]() -> st::task<> { co_await program(500); });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, scaled(5000));
}

// Several goroutines poll one timer and reset it, all at the same time: it stays a timer.
TEST(GoTime, TestMultiWakeupTimer) {
  const auto program = [](std::uint64_t rounds) -> st::task<> {
    st::timer t(1ns);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 4; ++i) {
        g.go([&, rounds]() -> st::task<> {
          for (std::uint64_t n = 0; n < rounds; ++n) {
            co_await poll(t);
            t.reset(1ns);
          }
        });
      }
      co_return;
    });
    const auto at = co_await t.recv();
    EXPECT_TRUE(at);
    EXPECT_FALSE(t.stop());
    co_await st::sleep(1ms);
    const auto again = co_await poll(t);
    EXPECT_EQ(again, std::nullopt) << "fired twice";
  };
  in_simulations(5, [&]() -> st::task<> { co_await program(500); });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, scaled(100'000));
}

// ---------------------------------------------------------------- tick_test

// A ticker whose period changes half-way, and that is over when it is stopped.
TEST(GoTime, TestTicker) {
  in_simulations(5, []() -> st::task<> {
    for (const int count : {10, 8}) {
      for (const auto period : {20ms, 100ms}) {
        const auto start = st::now();
        st::ticker t(period);
        for (int i = 0; i < count / 2; ++i) co_await t.recv();
        t.reset(2 * period);
        for (int i = 0; i < count / 2; ++i) co_await t.recv();
        EXPECT_EQ(st::now() - start, 3 * period * (count / 2));
        t.stop();
        co_await st::sleep(4 * period);
        const auto more = co_await t.recv();
        EXPECT_TRUE(more.closed()) << "a tick after stop";
      }
    }
  });
  run_on(2, []() -> st::task<> {
    const auto start = st::now();
    st::ticker t(2ms);
    for (int i = 0; i < 5; ++i) co_await t.recv();
    t.reset(4ms);
    for (int i = 0; i < 5; ++i) co_await t.recv();
    EXPECT_GE(st::now() - start, 24ms);  // a tick may be late, and the next one then in time
    EXPECT_LT(st::now() - start, late);
    t.stop();
  });
}

// A ticker may go while it is running, and another be made.
TEST(GoTime, TestTeardown) {
  const auto program = [](nanoseconds period) -> st::task<> {
    for (int i = 0; i < 3; ++i) {
      st::ticker t(period);
      const auto at = co_await t.recv();
      EXPECT_TRUE(at);
      if (i == 1) t.stop();
    }
  };
  in_simulations(5, [&]() -> st::task<> {
    const auto start = st::now();
    co_await program(100ms);
    EXPECT_EQ(st::now() - start, 300ms);
  });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, 5ms);
}

// A ticker needs a period.
TEST(GoTime, TestNewTickerLtZeroDuration) {
  in_simulations(1, []() -> st::task<> {
    EXPECT_THROW(st::ticker(-1ns), std::invalid_argument);
    EXPECT_THROW(st::ticker(0s), std::invalid_argument);
    co_return;
  });
}

// Also when it is reset; a reset that fails changes nothing.
TEST(GoTime, TestTickerResetLtZeroDuration) {
  in_simulations(3, []() -> st::task<> {
    const auto start = st::now();
    st::ticker t(1s);
    EXPECT_THROW(t.reset(-1ns), std::invalid_argument);
    EXPECT_THROW(t.reset(0s), std::invalid_argument);
    auto s = co_await st::select{t.recv(), st::after(1h)};
    EXPECT_EQ(s.index(), 0u) << "it does not tick any more";
    EXPECT_EQ(st::now() - start, 1s);
  });
}

// Work that goes through a queue, with a timeout each time, next to thousands of timers.
TEST(GoTime, TestLongAdjustTimers) {
  run_on(4, []() -> st::task<> {
    const auto timers = scaled(5000), rounds = scaled(5000);
    std::atomic<bool> stop = false;
    std::vector<st::join_handle<>> sleepers;
    for (std::uint64_t i = 0; i < timers; ++i) {
      sleepers.push_back(st::go([&]() -> st::task<> {
        st::timer never(1h);
        while (!stop) {
          co_await st::sleep(100ms);
          never.reset(1h);
        }
      }));
    }
    st::chan<int> in(0), out(0);
    auto queue = st::go([&]() -> st::task<> {
      std::deque<int> held;
      for (;;) {
        // Without a value to send, that case is nil.
        const st::chan<int> to = held.empty() ? st::chan<int>() : out;
        const int next = held.empty() ? 0 : held.front();
        auto s = co_await st::select{in.recv(), to.send(next)};
        if (s.index() == 1) {
          held.pop_front();
        } else if (auto& v = s.get<0>()) {
          held.push_back(*v);
        } else {
          co_return;
        }
      }
    });
    constexpr int batch = 20;
    int expected = 0;
    for (std::uint64_t i = 0; i < rounds; ++i) {
      for (int k = 0; k < batch; ++k) co_await in.send(expected + k);
      for (int k = 0; k < batch; ++k) {
        auto s = co_await st::select{out.recv(), st::after(late)};
        EXPECT_EQ(s.index(), 0u) << "the queue stands still";
        if (s.index() != 0) break;
        EXPECT_EQ(value_of(s.get<0>()), expected++);
      }
    }
    in.close();
    co_await queue;
    stop = true;
    for (auto& s : sleepers) co_await s;
  });
}

template <class Alarm>
void expect_stop(Alarm& t, bool was_active) {
  if constexpr (std::is_void_v<decltype(t.stop())>) {
    t.stop();
  } else {
    EXPECT_EQ(t.stop(), was_active);
  }
}
template <class Alarm>
void expect_reset(Alarm& t, nanoseconds d, bool was_active) {
  if constexpr (std::is_void_v<decltype(t.reset(d))>) {
    t.reset(d);
  } else {
    EXPECT_EQ(t.reset(d), was_active);
  }
}

/// Every state that a timer or ticker can be in, and what is received in it. Simulated.
template <class Alarm>
st::task<> check_states() {
  constexpr bool is_ticker = std::is_same_v<Alarm, st::ticker>;
  constexpr nanoseconds far = 10'000s;
  Alarm t(far);
  const auto expect_nothing = [&t](const char* when) -> st::task<> {
    for (int i = 0; i < 2; ++i) {
      const auto at = co_await poll(t);
      EXPECT_EQ(at, std::nullopt) << when;
      co_await st::sleep(1s);
    }
  };
  const auto receive = [&t]() -> st::task<std::optional<time_point>> {
    const auto at = co_await t.recv();
    co_return value_of(at);
  };

  // Set, stopped, set again: nothing before it is due.
  co_await expect_nothing("new");
  expect_reset(t, far, true);
  co_await expect_nothing("reset");
  expect_stop(t, true);
  co_await expect_nothing("stopped");
  expect_stop(t, false);
  co_await expect_nothing("stopped twice");
  expect_reset(t, far, false);
  co_await expect_nothing("set after a stop");

  // Fired and not received: a reset or a stop takes the value back.
  expect_reset(t, 1ms, true);
  co_await st::sleep(1500us);
  expect_reset(t, far, true);
  co_await expect_nothing("reset after it had fired");
  expect_reset(t, 1ms, true);
  co_await st::sleep(1500us);
  expect_stop(t, true);
  co_await expect_nothing("stopped after it had fired");
  expect_stop(t, false);

  // Fired and received: a timer is at rest, a ticker goes on.
  auto start = st::now();
  expect_reset(t, 1ms, false);
  co_await st::sleep(1500us);
  auto at = co_await poll(t);
  EXPECT_EQ(at, start + 1ms);
  at = co_await poll(t);
  EXPECT_EQ(at, std::nullopt);
  if (is_ticker) {
    at = co_await receive();
    EXPECT_EQ(at, start + 2ms);
  }
  expect_stop(t, false);
  start = st::now();
  expect_reset(t, 1ms, false);
  at = co_await receive();
  EXPECT_EQ(at, start + 1ms);
  EXPECT_EQ(st::now(), start + 1ms);
  expect_reset(t, far, false);

  // Somebody waits while it is set to an earlier time, and to a later one.
  auto waiter = st::go(receive);
  co_await st::sleep(1s);
  EXPECT_FALSE(waiter.done());
  start = st::now();
  expect_reset(t, 1ms, true);
  at = co_await waiter;
  EXPECT_EQ(at, start + 1ms);
  expect_reset(t, 1ms, false);
  waiter = st::go(receive);
  co_await st::yield();
  expect_reset(t, far, true);
  co_await st::sleep(1s);
  EXPECT_FALSE(waiter.done());
  start = st::now();
  expect_reset(t, 1ms, true);
  at = co_await waiter;
  EXPECT_EQ(at, start + 1ms);

  // Somebody waits while it is stopped: a ticker has ended, a timer may be set again.
  expect_reset(t, far, false);
  waiter = st::go(receive);
  co_await st::sleep(1s);
  expect_stop(t, true);
  co_await st::sleep(1s);
  EXPECT_EQ(waiter.done(), is_ticker);
  start = st::now();
  expect_reset(t, 1ms, false);
  at = co_await waiter;
  EXPECT_EQ(at, is_ticker ? std::nullopt : std::optional(start + 1ms));

  // A select that waited for it twice and chose something else leaves nothing behind.
  expect_reset(t, far, false);
  st::chan<int> c(0);
  auto loser = st::go([&]() -> st::task<> {
    const auto s = co_await st::select{t.recv(), c.recv(), t.recv()};
    EXPECT_EQ(s.index(), 1u);
  });
  co_await st::sleep(1s);
  waiter = st::go(receive);
  co_await st::sleep(1s);
  co_await c.send(1);
  co_await loser;
  start = st::now();
  expect_reset(t, 1ms, true);
  at = co_await waiter;
  EXPECT_EQ(at, start + 1ms);

  // Two wait: each firing wakes one of them, in the order in which they came.
  expect_reset(t, far, false);
  auto first = st::go(receive);
  co_await st::sleep(1s);
  auto second = st::go(receive);
  co_await st::sleep(1s);
  start = st::now();
  expect_reset(t, 1ms, true);
  at = co_await first;
  EXPECT_EQ(at, start + 1ms);
  EXPECT_FALSE(second.done());
  if (!is_ticker) expect_reset(t, 1ms, false);
  at = co_await second;
  EXPECT_EQ(at, start + 2ms);

  // Another one is due first; then this one; then neither.
  Alarm other(2ms);
  start = st::now();
  expect_reset(t, 3ms, false);
  auto s = co_await st::select{t.recv(), other.recv()};
  EXPECT_EQ(s.index(), 1u);
  EXPECT_EQ(st::now(), start + 2ms);
  expect_stop(other, false);
  at = co_await receive();
  EXPECT_EQ(at, start + 3ms);
  expect_stop(t, false);
  co_await expect_nothing("at the end");
}

// All states of a timer and of a ticker: what is received, by whom, and when.
TEST(GoTime, TestChan) {
  in_simulations(20, check_states<st::timer>);
  in_simulations(20, check_states<st::ticker>);
}

// The value of a timer that fired long ago is the time when it was due, not when it is received.
TEST(GoTime, TestAfterTimes) {
  in_simulations(5, []() -> st::task<> {
    const auto start = st::now();
    st::timer t(10ms);
    co_await st::sleep(500ms);
    const auto at = co_await t.recv();
    EXPECT_EQ(value_of(at), start + 10ms);
  });
  run_on(1, []() -> st::task<> {
    for (int attempt = 0;; ++attempt) {  // the machine may be late, but not each time
      const auto start = st::now();
      st::timer t(10ms);
      co_await st::sleep(100ms);
      const auto at = co_await t.recv();
      EXPECT_GE(value_of(at), start + 10ms);
      if (*at < start + 80ms) break;
      EXPECT_LT(attempt, 20) << "the time when it was received";
      if (attempt == 20) break;
    }
  });
}

// The same for a ticker, which keeps its latest tick (Go's keeps the first that was not received).
TEST(GoTime, TestTickTimes) {
  in_simulations(5, []() -> st::task<> {
    const auto start = st::now();
    st::ticker t(10ms);
    co_await st::sleep(505ms);
    auto at = co_await t.recv();
    EXPECT_EQ(value_of(at), start + 500ms);
    EXPECT_EQ(st::now(), start + 505ms);
    at = co_await t.recv();
    EXPECT_EQ(value_of(at), start + 510ms);
  });
}

// Left out: TestAfterFunc, as there is no after_func.

}  // namespace
