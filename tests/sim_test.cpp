// Simulation: the same seed gives the same run, other seeds give other schedules.
#include <strait/sim.hpp>

#include <set>
#include <string>
#include <vector>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::scaled;

/// A bit of everything; writes what it sees into `log`.
st::task<> program(std::string& log) {
  st::chan<int> c(1), d(0);
  st::ticker tick(3ms);
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 0; i < 4; ++i) {
      g.go([&, i]() -> st::task<> {
        for (int k = 0; k < 5; ++k) {
          auto s = co_await st::select{c.send(10 * i + k), d.send(-(10 * i + k))};
          log += static_cast<char>('a' + i + (s.index() == 0 ? 0 : 8));
        }
      });
    }
    for (int got = 0; got < 20;) {
      auto s = co_await st::select{c.recv(), d.recv(), tick.recv()};
      if (s.index() == 2) continue;
      ++got;
      log += s.index() == 0 ? 'C' : 'D';
      if (got % 7 == 0) co_await st::sleep(2ms);
    }
  });
}

TEST(sim, the_same_seed_gives_the_same_run_bit_for_bit) {
  std::set<std::string> logs;
  for (std::uint64_t seed = 0; seed < scaled(1000); ++seed) {
    std::string one, two;
    const auto a = st::sim::run(seed, program, std::ref(one));
    const auto b = st::sim::run(seed, program, std::ref(two));
    ASSERT_EQ(one, two) << seed;
    ASSERT_EQ(a.trace, b.trace) << seed;
    ASSERT_EQ(a.steps, b.steps);
    ASSERT_EQ(a.elapsed, b.elapsed);
    logs.insert(one);
  }
  EXPECT_GT(logs.size(), scaled(1000) / 2);
}

TEST(sim, time_is_virtual) {
  const auto start = std::chrono::steady_clock::now();
  const auto o = st::sim::run(1, []() -> st::task<> { co_await st::sleep(1000h); });
  EXPECT_EQ(o.elapsed, 1000h);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST(sim, explore_finds_a_race_and_its_seed_replays_it) {
  // A check and an act with a wait in between: wrong in some schedules only.
  const auto racy = []() -> st::task<> {
    int balance = 1;
    st::chan<int> done(2);
    const auto take = [&]() -> st::task<> {
      const bool enough = balance > 0;
      co_await done.send(1);
      if (enough) --balance;
    };
    auto one = st::go(take), two = st::go(take);
    co_await one;
    co_await two;
    if (balance < 0) throw std::runtime_error("the balance is negative");
  };
  const auto found = st::sim::explore(0, 1000, racy);
  ASSERT_TRUE(found.has_value());
  EXPECT_THROW(st::sim::run(*found, racy), std::runtime_error);
  bool good = false;
  for (std::uint64_t seed = 0; seed < 200 && !good; ++seed) {
    try {
      st::sim::run(seed, racy);
      good = true;
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_TRUE(good);
}

TEST(sim, a_deadlock_is_found_the_moment_it_is_there) {
  const auto dining = []() -> st::task<> {
    st::chan<int> left(1), right(1);
    co_await left.send(1);
    co_await right.send(1);
    const auto eat = [](st::chan<int> first, st::chan<int> second) -> st::task<> {
      co_await first.recv();
      co_await st::yield();
      co_await second.recv();
      co_await second.send(1);
      co_await first.send(1);
    };
    auto a = st::go(eat, left, right), b = st::go(eat, right, left);
    co_await a;
    co_await b;
  };
  const auto found = st::sim::explore(0, 1000, dining);
  ASSERT_TRUE(found.has_value());
  EXPECT_THROW(st::sim::run(*found, dining), st::deadlock);
}

TEST(sim, blocking_calls_run_inline_and_goroutines_are_joined_at_the_end) {
  bool cancelled = false;
  st::sim::run(3, [&]() -> st::task<> {
    const int five = co_await st::blocking([] { return 5; });
    EXPECT_EQ(five, 5);
    st::go([&]() -> st::task<> {
      try {
        co_await st::sleep(1h);
      } catch (const st::cancelled&) {
        cancelled = true;
        throw;
      }
    });
    co_await st::yield();
    co_await st::sleep(1ms);
  });
  EXPECT_TRUE(cancelled);
}

}  // namespace
