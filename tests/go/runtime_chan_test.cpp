// Go's src/runtime/chan_test.go, by name, with the tests of src/runtime/proc_test.go that are about
// fairness and those of src/reflect/all_test.go about channels; select_list is the run-time select.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;

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

/// In a simulation: returns when no other goroutine can go on.
st::task<> others_wait() { co_await st::sleep(1ms); }

// ---------------------------------------------------------------- runtime/chan_test

// What blocks and what does not at one capacity. Simulated.
st::task<> check_blocking(std::size_t capacity) {
  {  // a receive from an empty channel
    st::chan<int> c(capacity);
    bool received = false, selected = false;
    auto plain = st::go([&]() -> st::task<> {
      co_await c.recv();
      received = true;
    });
    auto in_select = st::go([&]() -> st::task<> {
      co_await st::select{c.recv()};
      selected = true;
    });
    co_await others_wait();
    EXPECT_FALSE(received) << "receive from an empty channel";
    EXPECT_FALSE(selected) << "receive from an empty channel";
    const auto now = c.try_recv();
    EXPECT_FALSE(now);
    EXPECT_FALSE(now.closed());
    const auto s = co_await st::select{c.recv(), st::otherwise};
    EXPECT_EQ(s.index(), 1u);
    co_await c.send(0);
    co_await c.send(0);
    co_await plain;
    co_await in_select;
  }
  {  // a send to a full one
    st::chan<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) co_await c.send(0);
    bool sent = false;
    auto sender = st::go([&]() -> st::task<> {
      co_await c.send(0);
      sent = true;
    });
    co_await others_wait();
    EXPECT_FALSE(sent) << "send to a full channel";
    EXPECT_EQ(c.try_send(0), st::send_result::full);
    const auto s = co_await st::select{c.send(0), st::otherwise};
    EXPECT_EQ(s.index(), 1u);
    co_await c.recv();
    co_await sender;
    EXPECT_TRUE(sent);
  }
  {  // a closed channel gives what is in it and then the end
    st::chan<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) co_await c.send(static_cast<int>(i));
    c.close();
    for (std::size_t i = 0; i < capacity; ++i) {
      const auto v = co_await c.recv();
      EXPECT_EQ(value_of(v), static_cast<int>(i));
    }
    const auto end = co_await c.recv();
    EXPECT_FALSE(end);
    const auto again = co_await c.recv();
    EXPECT_FALSE(again);
    EXPECT_TRUE(c.try_recv().closed());
  }
  {  // close wakes a receiver
    st::chan<int> c(capacity);
    auto receiver = st::go([&]() -> st::task<bool> {
      const auto v = co_await c.recv();
      co_return v.closed();
    });
    co_await others_wait();
    EXPECT_FALSE(receiver.done());
    c.close();
    const bool ended = co_await receiver;
    EXPECT_TRUE(ended);
  }
  {  // len and cap
    st::chan<int> c(2 * capacity);
    EXPECT_EQ(c.len(), 0u);
    EXPECT_EQ(c.cap(), 2 * capacity);
    for (std::size_t i = 0; i < capacity; ++i) co_await c.send(0);
    EXPECT_EQ(c.len(), capacity);
    EXPECT_EQ(c.cap(), 2 * capacity);
  }
}

// One sender and one receiver: nothing is lost, doubled or out of order.
st::task<> check_order(std::size_t capacity) {
  st::chan<int> c(capacity);
  auto sender = st::go([&]() -> st::task<> {
    for (int i = 0; i < 100; ++i) co_await c.send(i);
  });
  for (int i = 0; i < 100; ++i) {
    const auto v = co_await c.recv();
    EXPECT_EQ(value_of(v), i);
  }
  co_await sender;
}

// Four senders and four receivers: each value arrives as often as it was sent.
st::task<> check_crowd(std::size_t capacity, std::size_t values) {
  constexpr std::size_t crowd = 4;
  st::chan<std::size_t> c(capacity);
  std::vector<std::atomic<unsigned>> seen(values);
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (std::size_t p = 0; p < crowd; ++p) {
      g.go([&]() -> st::task<> {
        for (std::size_t i = 0; i < values; ++i) co_await c.send(i);
      });
      g.go([&]() -> st::task<> {
        for (std::size_t i = 0; i < values; ++i) {
          const auto v = co_await c.recv();
          if (v) seen[*v].fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    co_return;
  });
  std::size_t wrong = 0;
  for (const auto& n : seen) wrong += n.load() != crowd ? 1u : 0u;
  EXPECT_EQ(wrong, 0u) << "values that did not arrive " << crowd << " times";
}

// For capacities 0 to 199: what blocks, what a close does, order, a crowd, len and cap.
TEST(GoRuntimeChan, TestChan) {
  in_simulations(3, []() -> st::task<> {
    for (std::size_t capacity = 0; capacity < 200; ++capacity) {
      SCOPED_TRACE("capacity " + std::to_string(capacity));
      co_await check_blocking(capacity);
      co_await check_order(capacity);
      co_await check_crowd(capacity, 25);
    }
  });
  const std::size_t values = scaled(1000);
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, [values]() -> st::task<> {
      for (std::size_t capacity = 0; capacity < 200; ++capacity) {
        co_await check_order(capacity);
        co_await check_crowd(capacity, values);
      }
    });
  }
}

/// Where two goroutines spin until both have come, so that what follows happens at the same time.
class meeting {
 public:
  void arrive() {
    const unsigned mine = arrived_.fetch_add(1);
    while (arrived_.load() < (mine / 2 + 1) * 2) std::this_thread::yield();
  }

 private:
  std::atomic<unsigned> arrived_{0};
};

/// `prepare()`, then the coroutines `here()` and `there()` at the same time, again and again: with
/// every interleaving that some seeds find, and in parallel.
template <class Prepare, class Here, class There>
void race(std::uint64_t rounds, Prepare prepare, Here here, There there) {
  in_simulations(30, [&]() -> st::task<> {
    for (int i = 0; i < 20; ++i) {
      prepare();
      auto other = st::go(there);
      co_await here();
      co_await other;
    }
  });
  run_on(4, [&]() -> st::task<> {
    meeting door;
    auto other = st::go([&]() -> st::task<> {
      for (std::uint64_t i = 0; i < rounds; ++i) {
        door.arrive();
        co_await there();
        door.arrive();
      }
    });
    for (std::uint64_t i = 0; i < rounds; ++i) {
      prepare();
      door.arrive();
      co_await here();
      door.arrive();
    }
    co_await other;
  });
}

// A channel that has a value, and is then closed, is never empty to a receive that does not wait.
TEST(GoRuntimeChan, TestNonblockRecvRace) {
  st::chan<int> c;
  const auto prepare = [&] {
    c = st::chan<int>(1);
    EXPECT_EQ(c.try_send(1), st::send_result::sent);
  };
  const auto close_and_receive = [&]() -> st::task<> {
    c.close();
    co_await c.recv();
  };
  race(scaled(10'000), prepare, close_and_receive, [&]() -> st::task<> {
    const auto s = co_await st::select{c.recv(), st::otherwise};
    EXPECT_EQ(s.index(), 0u) << "the channel was not ready";
  });
  race(scaled(10'000), prepare, close_and_receive, [&]() -> st::task<> {
    const auto v = c.try_recv();
    EXPECT_TRUE(v || v.closed()) << "the channel was not ready";
    co_return;
  });
}

/// Of `a`, which has a value, and `b`, one is ready at any time, for `make_ready()` is called
/// before `a` is emptied: a select with otherwise never finds both empty.
template <class Prepare, class MakeReady>
void check_one_is_ready(st::chan<int>& a, st::chan<int>& b, Prepare prepare, MakeReady make_ready) {
  const auto swap_over = [&]() -> st::task<> {
    make_ready();
    co_await st::select{a.recv(), st::otherwise};
  };
  race(scaled(30'000), prepare, swap_over, [&]() -> st::task<> {
    const auto s = co_await st::select{a.recv(), b.recv(), st::otherwise};
    EXPECT_NE(s.index(), 2u) << "no channel was ready";
  });
  // The same with much to do between the look at one channel and the look at the other.
  const st::chan<int> quiet(0);
  race(scaled(30'000), prepare, swap_over, [&]() -> st::task<> {
    const auto s = co_await st::ordered_select{
        b.recv(),     quiet.recv(), quiet.recv(), quiet.recv(), quiet.recv(),
        quiet.recv(), quiet.recv(), quiet.recv(), a.recv(),     st::otherwise};
    EXPECT_NE(s.index(), 9u) << "no channel was ready";
  });
}

// Of two channels one always has a value: a select never finds both empty.
TEST(GoRuntimeChan, TestNonblockSelectRace) {
  st::chan<int> a, b;
  const auto prepare = [&] {
    a = st::chan<int>(1);
    b = st::chan<int>(1);
    EXPECT_EQ(a.try_send(1), st::send_result::sent);
  };
  check_one_is_ready(a, b, prepare, [&] { EXPECT_EQ(b.try_send(1), st::send_result::sent); });
}

// The same where the second channel is ready because it is closed.
TEST(GoRuntimeChan, TestNonblockSelectRace2) {
  st::chan<int> a, b;
  const auto prepare = [&] {
    a = st::chan<int>(1);
    b = st::chan<int>(0);
    EXPECT_EQ(a.try_send(1), st::send_result::sent);
  };
  check_one_is_ready(a, b, prepare, [&] { b.close(); });
}

st::task<> send_or_receive(st::chan<int> c, int self, std::uint64_t rounds) {
  for (std::uint64_t i = 0; i < rounds; ++i) {
    std::optional<int> got;
    if (self == 0 || i % 2 == 0) {
      auto s = co_await st::select{c.send(self), c.recv()};
      if (s.index() == 1) got = s.get<1>().value();
    } else {
      auto s = co_await st::select{c.recv(), c.send(self)};
      if (s.index() == 0) got = s.get<0>().value();
    }
    EXPECT_FALSE(c.cap() == 0 && got == self) << "received its own value";
  }
}

// A select that sends to and receives from one channel, against another: nobody hangs, and without
// a buffer nobody meets itself.
TEST(GoRuntimeChan, TestSelfSelect) {
  const auto program = [](std::uint64_t rounds) -> st::task<> {
    for (const std::size_t capacity : {0u, 10u}) {
      st::chan<int> c(capacity);
      auto one = st::go(send_or_receive, c, 0, rounds);
      auto two = st::go(send_or_receive, c, 1, rounds);
      co_await one;
      co_await two;
    }
  };
  in_simulations(20, [&]() -> st::task<> { co_await program(50); });
  for (const unsigned workers : {1u, 2u, 4u}) run_on(workers, program, scaled(10'000));
}

// Ten goroutines on four channels, one operation each against selects of all: all come to an end.
TEST(GoRuntimeChan, TestSelectStress) {
  const auto program = [](std::uint64_t n) -> st::task<> {
    std::vector<st::chan<int>> c;
    for (const std::size_t capacity : {0u, 0u, 2u, 3u}) c.emplace_back(capacity);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (std::size_t k = 0; k < 4; ++k) {
        g.go([&c, k, n]() -> st::task<> {
          for (std::uint64_t i = 0; i < n; ++i) co_await c[k].send(0);
        });
        g.go([&c, k, n]() -> st::task<> {
          for (std::uint64_t i = 0; i < n; ++i) co_await c[k].recv();
        });
      }
      g.go([&c, n]() -> st::task<> {
        std::vector<st::chan<int>> open = c;
        std::array<std::uint64_t, 4> left = {n, n, n, n};
        for (std::uint64_t i = 0; i < 4 * n; ++i) {
          const auto s = co_await st::select{open[3].send(0), open[2].send(0), open[0].send(0),
                                             open[1].send(0)};
          const std::size_t k = std::array{3u, 2u, 0u, 1u}[s.index()];
          if (--left[k] == 0) open[k] = {};
        }
      });
      g.go([&c, n]() -> st::task<> {
        std::vector<st::chan<int>> open = c;
        std::array<std::uint64_t, 4> left = {n, n, n, n};
        for (std::uint64_t i = 0; i < 4 * n; ++i) {
          const auto s =
              co_await st::select{open[0].recv(), open[1].recv(), open[2].recv(), open[3].recv()};
          if (--left[s.index()] == 0) open[s.index()] = {};
        }
      });
      co_return;
    });
    for (const auto& one : c) EXPECT_EQ(one.len(), 0u);
  };
  in_simulations(5, [&]() -> st::task<> { co_await program(100); });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, scaled(100'000));
}

// Two cases that are always ready, among two that never are, win about equally often.
TEST(GoRuntimeChan, TestSelectFairness) {
  const auto program = []() -> st::task<> {
    const std::size_t trials = scaled(10'000);
    st::chan<char> a(trials + 1), b(trials + 1), c(0), d(0), out(0);
    st::chan<bool> done(0);
    for (std::size_t i = 0; i <= trials; ++i) {
      co_await a.send('a');
      co_await b.send('b');
    }
    auto chooser = st::go([&]() -> st::task<> {
      for (;;) {
        auto s = co_await st::select{c.recv(), d.recv(), a.recv(), b.recv()};
        EXPECT_TRUE(s.index() == 2 || s.index() == 3) << "a channel that is never ready";
        const char got = s.index() == 2 ? s.get<2>().value() : s.get<3>().value();
        const auto next = co_await st::select{out.send(got), done.recv()};
        if (next.index() == 1) co_return;
      }
    });
    std::size_t from_a = 0, from_b = 0;
    for (std::size_t i = 0; i < trials; ++i) {
      const auto got = co_await out.recv();
      (*got == 'a' ? from_a : from_b) += 1;
    }
    done.close();
    co_await chooser;
    const auto n = static_cast<double>(trials);
    const double off = std::abs(static_cast<double>(from_a) / n - 0.5);
    EXPECT_LE(off, 6 * 0.5 / std::sqrt(n)) << from_a << " to " << from_b;  // 6 sigma
  };
  in_simulations(3, program);
  for (const unsigned workers : {1u, 2u}) run_on(workers, program);
}

struct shape {
  virtual ~shape() = default;
};
struct point final : shape {};

// A channel of a base type takes pointers to what is derived from it, also twice in one select.
TEST(GoRuntimeChan, TestChanSendInterface) {
  run_on(1, []() -> st::task<> {
    const auto p = std::make_shared<const point>();
    st::chan<std::shared_ptr<const shape>> c(1);
    co_await c.send(p);
    const auto one = co_await st::select{c.send(p), st::otherwise};
    EXPECT_EQ(one.index(), 1u);
    const auto two =
        co_await st::select{c.send(p), c.send(std::make_shared<const point>()), st::otherwise};
    EXPECT_EQ(two.index(), 2u);
    EXPECT_EQ(p.use_count(), 2) << "a case that lost kept its value";
    const auto got = co_await c.recv();
    EXPECT_EQ(value_of(got), p);
    const auto three = co_await st::select{c.send(p), c.send(p), st::otherwise};
    EXPECT_LT(three.index(), 2u);
    EXPECT_EQ(c.len(), 1u);
  });
}

// A select of two sends to one channel chooses each often enough, with and without a buffer.
TEST(GoRuntimeChan, TestPseudoRandomSend) {
  const auto program = []() -> st::task<> {
    constexpr std::size_t n = 100;
    for (const std::size_t capacity : {std::size_t{0}, n}) {
      st::chan<int> c(capacity);
      auto receiver = st::go([&]() -> st::task<int> {
        int ones = 0;
        for (std::size_t i = 0; i < n; ++i) {
          co_await st::yield();
          const auto v = co_await c.recv();
          ones += *v;
        }
        co_return ones;
      });
      for (std::size_t i = 0; i < n; ++i) co_await st::select{c.send(1), c.send(0)};
      const int ones = co_await receiver;
      EXPECT_GT(ones, 10) << "capacity " << capacity;
      EXPECT_LT(ones, 90) << "capacity " << capacity;
    }
  };
  in_simulations(5, program);
  for (const unsigned workers : {1u, 4u}) run_on(workers, program);
}

// 23 workers pass on 271,828 values from one channel to another: count and sum are right.
TEST(GoRuntimeChan, TestMultiConsumer) {
  const auto program = [](std::uint64_t items) -> st::task<> {
    constexpr std::size_t workers = 23;
    constexpr std::array<std::uint64_t, 10> primes = {2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
    auto [in, queue] = st::make_chan<std::uint64_t>(3 * workers);
    auto [out, results] = st::make_chan<std::uint64_t>(3 * workers);
    for (std::size_t w = 0; w < workers; ++w) {
      const std::uint64_t mine = primes[w % primes.size()];
      st::go(
          [](st::receiver<std::uint64_t> from, st::sender<std::uint64_t> to,
             std::uint64_t slow_at) -> st::task<> {
            while (auto v = co_await from.recv()) {
              if (*v == slow_at) co_await st::yield();  // so that the order changes
              co_await to.send(*v);
            }
          },
          queue, out, mine);
    }
    out = {};  // the workers' own end it
    std::uint64_t expected = 0;
    auto feeder = st::go(
        [&expected, primes, items](st::sender<std::uint64_t> to) -> st::task<> {
          for (std::uint64_t i = 0; i < items; ++i) {
            const std::uint64_t v = primes[i % primes.size()];
            expected += v;
            co_await to.send(v);
          }
        },
        std::move(in));
    std::uint64_t count = 0, sum = 0;
    while (auto v = co_await results.recv()) {
      ++count;
      sum += *v;
    }
    co_await feeder;
    EXPECT_EQ(count, items);
    EXPECT_EQ(sum, expected);
  };
  in_simulations(5, [&]() -> st::task<> { co_await program(1000); });
  for (const unsigned workers : {1u, 4u}) run_on(workers, program, scaled(271'828));
}

// A goroutine that waits twice in one channel's queue leaves both places when another case wins.
TEST(GoRuntimeChan, TestSelectDuplicateChannel) {
  in_simulations(10, []() -> st::task<> {
    st::chan<int> c(0), d(0), e(0), end(0);
    auto a = st::go([&]() -> st::task<> {
      const auto s = co_await st::select{c.recv(), c.recv(), d.recv()};
      EXPECT_EQ(s.index(), 2u);
      co_await e.send(9);
      const auto last = co_await end.recv();  // a place it had left behind would end this wait
      EXPECT_TRUE(last.closed());
    });
    co_await others_wait();
    auto b = st::go([&]() -> st::task<int> {  // behind both places of a
      const auto v = co_await c.recv();
      co_return *v;
    });
    co_await others_wait();
    co_await d.send(7);  // wakes a
    const auto woken = co_await e.recv();
    EXPECT_EQ(value_of(woken), 9);
    co_await others_wait();
    co_await c.send(8);  // wakes b
    co_await others_wait();
    EXPECT_TRUE(b.done());
    EXPECT_FALSE(a.done());
    end.close();
    co_await a;
    const int got = co_await b;
    EXPECT_EQ(got, 8);
  });
}

// ---------------------------------------------------------------- runtime/proc_test

// A goroutine that polls a channel, and yields in between, sees a message.
TEST(GoRuntimeProc, TestYieldProgress) {
  const auto program = []() -> st::task<> {
    st::chan<bool> message(0), answer(0);
    auto poller = st::go([&]() -> st::task<> {
      for (;;) {
        const auto s = co_await st::select{message.recv(), st::otherwise};
        if (s.index() == 0) break;
        co_await st::yield();
      }
      co_await answer.send(true);
    });
    co_await strait_test::settle();
    co_await message.send(true);
    co_await answer.recv();
    co_await poller;
  };
  in_simulations(10, program);
  for (const unsigned workers : {1u, 2u, 4u}) run_on(workers, program);
}

// Two goroutines that select on one channel without pause, and call `between` in between, cannot
// keep a timer from firing.
template <class Between>
void check_timer_fairness(Between between) {
  for (const unsigned workers : {1u, 2u}) {
    run_on(workers, [&]() -> st::task<> {
      st::chan<bool> c(0), done(0);
      const auto busy = [&]() -> st::task<std::uint64_t> {
        for (std::uint64_t rounds = 0;; ++rounds) {
          co_await between();
          const auto s = co_await st::select{c.send(true), c.recv(), done.recv()};
          if (s.index() == 2) co_return rounds;
        }
      };
      auto one = st::go(busy), two = st::go(busy);
      const auto start = std::chrono::steady_clock::now();
      st::timer t(10ms);
      co_await t.recv();
      const auto took = std::chrono::steady_clock::now() - start;
      done.close();
      const std::uint64_t a = co_await one;
      const std::uint64_t b = co_await two;
      EXPECT_GE(took, 10ms);
      EXPECT_LT(took, 20s);
      EXPECT_GT(a + b, 0u) << "they were not busy";
    });
  }
}

// Goroutines that select without pause cannot starve a timer.
TEST(GoRuntimeProc, TestTimerFairness) {
  check_timer_fairness([]() -> st::task<> { co_return; });
}

// Nor can they when they make system calls, in place or on a thread that may block.
TEST(GoRuntimeProc, TestTimerFairness2) {
  check_timer_fairness([]() -> st::task<> {
    EXPECT_GT(::getppid(), 0);
    co_return;
  });
  check_timer_fairness([]() -> st::task<> { co_await st::blocking([] { return ::getppid(); }); });
}

// ---------------------------------------------------------------- reflect/all_test

// What a run-time select does with one case is what the operation does: send, receive, try, close.
TEST(GoReflect, TestChan) {
  const auto send_listed = [](const st::chan<int>& c, int v) -> st::task<> {
    st::select_list list;
    auto& sent = list.add(c.send(v));
    const std::size_t i = co_await list;
    EXPECT_EQ(i, sent.index());
    sent.result();
  };
  const auto receive_listed = [](const st::chan<int>& c) -> st::task<st::received<int>> {
    st::select_list list;
    auto& got = list.add(c.recv());
    const std::size_t i = co_await list;
    EXPECT_EQ(i, got.index());
    co_return got.result();
  };
  /// Whether it was sent, without waiting.
  const auto try_send_listed = [](const st::chan<int>& c, int v) -> st::task<bool> {
    st::select_list list;
    auto& sent = list.add(c.send(v));
    list.add(st::otherwise);
    const std::size_t i = co_await list;
    if (i == sent.index()) sent.result();
    co_return i == sent.index();
  };
  /// The value, without waiting; empty if there is none.
  const auto try_receive_listed = [](const st::chan<int>& c) -> st::task<std::optional<int>> {
    st::select_list list;
    auto& got = list.add(c.recv());
    const std::size_t empty = list.add(st::otherwise);
    const std::size_t i = co_await list;
    EXPECT_TRUE(i == got.index() || i == empty);
    if (i == empty) co_return std::nullopt;
    const auto r = got.result();
    EXPECT_NE(r.has_value(), r.closed());
    co_return value_of(r);
  };

  in_simulations(10, [&]() -> st::task<> {
    st::chan<int> c(1);
    co_await send_listed(c, 2);
    const auto two = co_await c.recv();
    EXPECT_EQ(value_of(two), 2);
    co_await c.send(3);
    const auto three = co_await receive_listed(c);
    EXPECT_EQ(value_of(three), 3);

    // Without waiting, next to the static ones.
    bool sent = co_await try_send_listed(c, 4);
    EXPECT_TRUE(sent);
    sent = co_await try_send_listed(c, 5);
    EXPECT_FALSE(sent) << "there was no room";
    EXPECT_EQ(c.try_send(5), st::send_result::full);
    const auto four = co_await try_receive_listed(c);
    EXPECT_EQ(four, 4);
    const auto nothing = co_await try_receive_listed(c);
    EXPECT_FALSE(nothing) << "there was nothing";
    EXPECT_FALSE(c.try_recv());
    EXPECT_FALSE(c.try_recv().closed());

    // Closed: what is in it, then the end; a send throws and says which case it was.
    co_await send_listed(c, 6);
    EXPECT_TRUE(c.close());
    const auto six = co_await receive_listed(c);
    EXPECT_EQ(value_of(six), 6);
    const auto end = co_await receive_listed(c);
    EXPECT_TRUE(end.closed());
    st::select_list poll;
    auto& end_now = poll.add(c.recv());
    poll.add(st::otherwise);
    const std::size_t polled = co_await poll;
    EXPECT_EQ(polled, end_now.index()) << "a closed channel is ready";
    EXPECT_TRUE(end_now.result().closed());
    EXPECT_TRUE(c.try_recv().closed());
    std::size_t failed_case = st::channel_error::no_case;
    try {
      co_await send_listed(c, 7);
    } catch (const st::closed& e) {
      failed_case = e.case_index();
    }
    EXPECT_EQ(failed_case, 0u);
    EXPECT_EQ(c.try_send(7), st::send_result::closed);

    // Without a buffer: nothing goes without a peer, everything with one.
    st::chan<int> u(0);
    sent = co_await try_send_listed(u, 8);
    EXPECT_FALSE(sent);
    const auto none = co_await try_receive_listed(u);
    EXPECT_FALSE(none);
    auto receiver = st::go([&]() -> st::task<int> {
      const auto v = co_await receive_listed(u);
      co_return *v;
    });
    co_await others_wait();
    sent = co_await try_send_listed(u, 9);
    EXPECT_TRUE(sent) << "somebody was waiting";
    int got = co_await receiver;
    EXPECT_EQ(got, 9);
    auto sender = st::go([&]() -> st::task<> { co_await send_listed(u, 10); });
    co_await others_wait();
    const auto ten = co_await try_receive_listed(u);
    EXPECT_EQ(ten, 10) << "somebody was waiting";
    co_await sender;
    auto plain = st::go([&]() -> st::task<> { co_await u.send(11); });
    const auto eleven = co_await receive_listed(u);
    EXPECT_EQ(value_of(eleven), 11);
    co_await plain;

    st::chan<int> wide(10);
    co_await send_listed(wide, 1);
    co_await send_listed(wide, 2);
    EXPECT_EQ(st::sender<int>(wide).len(), 2u);
    EXPECT_EQ(st::receiver<int>(wide).cap(), 10u);
  });
}

// The kinds of case that a select can have; `zero` is a handle that was moved from.
enum class kind : unsigned {
  ready_send,
  ready_recv,
  waiting_send,
  waiting_recv,
  zero_send,
  zero_recv,
  nil_send,
  nil_recv,
  closed_send,
  closed_recv,
  otherwise,
  count
};

constexpr bool is_ready(kind k) {
  return k == kind::ready_send || k == kind::ready_recv || k == kind::closed_send ||
         k == kind::closed_recv;
}
constexpr bool can_be_helped(kind k) { return k == kind::waiting_send || k == kind::waiting_recv; }

/// One case of a select_list, with all that is needed to see what became of it.
struct made_case {
  using send_entry = st::select_list::entry<st::detail::send_op<int>>;
  using recv_entry = st::select_list::entry<st::detail::recv_op<int>>;

  made_case(kind what, st::select_list& list, int v) : k(what), value(v), index(list.size()) {
    switch (k) {
      case kind::ready_send: c = st::chan<int>(1); break;
      case kind::ready_recv:
        c = st::chan<int>(1);
        EXPECT_EQ(c.try_send(value), st::send_result::sent);
        break;
      case kind::waiting_send:
      case kind::waiting_recv: c = st::chan<int>(0); break;
      case kind::zero_send:
      case kind::zero_recv: {
        c = st::chan<int>(1);
        kept_open = std::move(c);
        break;
      }
      case kind::closed_send:
      case kind::closed_recv:
        c = st::chan<int>(0);
        c.close();
        break;
      default: break;
    }
    switch (k) {
      case kind::ready_send:
      case kind::waiting_send:
      case kind::zero_send:
      case kind::nil_send:
      case kind::closed_send: send = &list.add(c.send(value)); break;
      case kind::otherwise: list.add(st::otherwise); break;
      default: recv = &list.add(c.recv());
    }
  }

  /// Does what a case that waits is waiting for.
  st::task<> help() const {
    if (k == kind::waiting_send) {
      const auto got = co_await c.recv();
      EXPECT_EQ(value_of(got), value);
    } else {
      co_await c.send(value);
    }
  }

  void check_won() const {
    switch (k) {
      case kind::ready_send: {
        send->result();
        const auto there = c.try_recv();
        EXPECT_EQ(value_of(there), value);
        break;
      }
      case kind::waiting_send: send->result(); break;  // help() looks at the value
      case kind::closed_send:
        try {
          send->result();
          ADD_FAILURE() << "a send to a closed channel must throw";
        } catch (const st::closed& e) {
          EXPECT_EQ(e.case_index(), index);
        }
        break;
      case kind::ready_recv:
      case kind::waiting_recv: {
        const auto got = recv->result();
        EXPECT_EQ(value_of(got), value);
        EXPECT_EQ(c.len(), 0u);
        break;
      }
      case kind::closed_recv: EXPECT_TRUE(recv->result().closed()); break;
      case kind::otherwise: break;
      default: ADD_FAILURE() << "a nil channel was ready";
    }
  }

  /// A case that lost has had no effect, and has left nothing in its channel's queues.
  void check_lost() const {
    switch (k) {
      case kind::ready_send: EXPECT_EQ(c.len(), 0u); break;
      case kind::ready_recv: EXPECT_EQ(c.len(), 1u); break;
      case kind::waiting_send: {
        const auto offered = c.try_recv();
        EXPECT_FALSE(offered);
        EXPECT_FALSE(offered.closed());
        break;
      }
      case kind::waiting_recv: EXPECT_EQ(c.try_send(0), st::send_result::full); break;
      case kind::zero_send:
      case kind::zero_recv: EXPECT_EQ(kept_open.len(), 0u); break;
      default: break;
    }
  }

  kind k;
  int value;
  std::size_t index;
  st::chan<int> c, kept_open;
  send_entry* send = nullptr;
  recv_entry* recv = nullptr;
};

/// One select, of the kinds in the set `kinds`, in random order. Counts in `won` who won.
st::task<> select_some(unsigned kinds, std::mt19937& random, std::vector<unsigned>& won) {
  st::select_list list;
  std::vector<kind> order;
  for (unsigned k = 0; k < static_cast<unsigned>(kind::count); ++k) {
    if ((kinds >> k & 1) != 0) order.push_back(static_cast<kind>(k));
  }
  std::shuffle(order.begin(), order.end(), random);
  std::vector<std::unique_ptr<made_case>> cases;
  std::vector<const made_case*> ready, helpless;
  const made_case* otherwise = nullptr;
  for (const kind k : order) {
    cases.push_back(std::make_unique<made_case>(k, list, static_cast<int>(random() % 1000)));
    if (is_ready(k)) ready.push_back(cases.back().get());
    if (can_be_helped(k)) helpless.push_back(cases.back().get());
    if (k == kind::otherwise) otherwise = cases.back().get();
  }

  const made_case* chosen = nullptr;
  if (ready.empty() && otherwise == nullptr && helpless.empty()) {
    // Nothing can come of it. (An hour that passes at once in a simulation.)
    const auto waited = co_await st::as_result(st::with_timeout(1h, list));
    EXPECT_FALSE(waited) << "nothing was ready";
  } else {
    st::join_handle<> helper;
    const made_case* helped = nullptr;
    if (ready.empty() && otherwise == nullptr) {
      helped = helpless[random() % helpless.size()];
      helper = st::go([helped]() -> st::task<> { co_await helped->help(); });
    }
    const std::size_t i = co_await list;
    EXPECT_LT(i, cases.size());
    if (i >= cases.size()) co_return;
    chosen = cases[i].get();
    if (helped != nullptr) {
      EXPECT_EQ(chosen, helped);
      co_await helper;
    } else if (!ready.empty()) {
      EXPECT_TRUE(is_ready(chosen->k));
    } else {
      EXPECT_EQ(chosen, otherwise);
    }
    chosen->check_won();
    ++won[static_cast<unsigned>(chosen->k)];
  }
  for (const auto& one : cases) {
    if (one.get() != chosen) one->check_lost();
  }
}

// Every set of eleven kinds of case, in random order: the right case wins, has its result, and the
// others have had no effect. Where only a case that waits could win, somebody comes to help it.
TEST(GoReflect, TestSelect) {
  constexpr unsigned sets = 1u << static_cast<unsigned>(kind::count);
  constexpr unsigned no_chance =
      1u << static_cast<unsigned>(kind::zero_send) | 1u << static_cast<unsigned>(kind::zero_recv) |
      1u << static_cast<unsigned>(kind::nil_send) | 1u << static_cast<unsigned>(kind::nil_recv);
  std::vector<unsigned> won(static_cast<unsigned>(kind::count));
  in_simulations(5, [&]() -> st::task<> {
    std::mt19937 random(1);
    for (unsigned kinds = 0; kinds < sets; ++kinds) {
      SCOPED_TRACE("kinds " + std::to_string(kinds));
      co_await select_some(kinds, random, won);
    }
  });
  for (const unsigned workers : {1u, 4u}) {
    run_on(workers, [&]() -> st::task<> {
      std::mt19937 random(workers);
      for (unsigned kinds = 0; kinds < sets; ++kinds) {
        if ((kinds & ~no_chance) != 0) co_await select_some(kinds, random, won);
      }
    });
  }
  for (unsigned k = 0; k < static_cast<unsigned>(kind::count); ++k) {
    EXPECT_EQ(won[k] == 0, (no_chance >> k & 1) != 0) << "kind " << k << " won " << won[k];
  }
}

// A run-time select that has nothing but an `otherwise` chooses it: index 0.
TEST(GoReflect, TestSelectNop) {
  in_simulations(3, []() -> st::task<> {
    st::select_list list;
    const std::size_t added = list.add(st::otherwise);
    EXPECT_EQ(added, 0u);
    const std::size_t chosen = co_await list;
    EXPECT_EQ(chosen, 0u);
  });
}

}  // namespace
