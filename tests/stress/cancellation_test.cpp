// Trees of goroutines that wait in everything there is to wait in, cancelled at any moment, on
// several workers: all end, and nothing stays taken: locks, permits, values, deliveries, timers.
#include <strait/strait.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "support.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;

struct dice {
  explicit dice(std::uint64_t seed) : state(seed * 2654435769u + 1) {}
  std::uint64_t below(std::uint64_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
  }
  std::uint64_t state;
};

/// What all the goroutines of a tree share. Counters say what is held at the moment.
struct world {
  st::mutex lock;
  st::semaphore units{5};
  st::chan<std::uint64_t> meet{0};
  st::chan<std::uint64_t> buffer{3};
  st::chan<std::uint64_t> jobs{8};
  st::chan<int> never{0};
  st::wait_group gate;  // never reaches zero before the end
  std::atomic<int> inside{0};
  std::atomic<int> used{0};
  std::atomic<std::int64_t> in_flight{0};  // sent and not received
  std::atomic<std::uint64_t> born{0}, ended{0}, waits{0};
};

constexpr std::uint64_t one = 1;

struct count_life {
  explicit count_life(world& w) : of(w) { ++of.born; }
  count_life(const count_life&) = delete;
  count_life& operator=(const count_life&) = delete;
  ~count_life() { ++of.ended; }
  world& of;
};

st::task<> use_units(world& w, std::uint64_t k) {
  auto p = co_await w.units.acquire(k);
  EXPECT_LE(w.used += static_cast<int>(k), 5);
  struct leave {
    leave(world& x, std::uint64_t n) : of(x), k(static_cast<int>(n)) {}
    leave(const leave&) = delete;
    leave& operator=(const leave&) = delete;
    ~leave() { of.used -= k; }
    world& of;
    int k;
  } const at_end(w, k);
  co_await st::yield();
}

st::task<> use_lock(world& w) {
  auto hold = co_await w.lock.lock();
  EXPECT_EQ(++w.inside, 1);
  struct leave {
    explicit leave(world& x) : of(x) {}
    leave(const leave&) = delete;
    leave& operator=(const leave&) = delete;
    ~leave() { --of.inside; }
    world& of;
  } const at_end(w);
  co_await st::yield();
}

st::task<> one_wait(world& w, dice& d) {
  ++w.waits;
  switch (d.below(14)) {
    case 0: co_await use_lock(w); break;
    case 1: co_await use_units(w, 1 + d.below(5)); break;
    case 2:
      co_await w.meet.send(one);
      ++w.in_flight;
      break;
    case 3: {
      co_await w.meet.recv();
      --w.in_flight;
      break;
    }
    case 4:
      co_await w.buffer.send(one);
      ++w.in_flight;
      break;
    case 5: {
      co_await w.buffer.recv();
      --w.in_flight;
      break;
    }
    case 6: co_await st::sleep(std::chrono::microseconds(d.below(200))); break;
    case 7: {
      auto s = co_await st::select{w.meet.recv(), w.buffer.send(one), w.lock.lock(),
                                   w.units.acquire(2), st::after(50us)};
      if (s.index() == 0) --w.in_flight;
      if (s.index() == 1) ++w.in_flight;
      if (s.index() == 3) {
        EXPECT_LE(w.used += 2, 5);
        w.used -= 2;
      }
      break;
    }
    case 8: {
      auto job = co_await w.jobs.take();
      if (d.below(2) == 0) co_await st::yield();
      if (d.below(4) == 0) break;  // goes back
      EXPECT_TRUE(job.ack());
      --w.in_flight;
      break;
    }
    case 9:
      co_await w.jobs.send(one);
      ++w.in_flight;
      break;
    case 10: try { co_await st::with_timeout(std::chrono::microseconds(d.below(60)), w.gate.wait());
      } catch (const st::timed_out&) {
      }
      break;
    case 11: co_await st::shield(use_lock(w)); break;
    case 12: {
      auto s = co_await st::select{w.never.recv(), st::context::current().done(), st::after(80us)};
      (void)s;
      break;
    }
    default:
      if (d.below(16) == 0) {
        const int v = co_await st::blocking([] { return 1; });
        EXPECT_EQ(v, 1);
      } else {
        co_await st::yield();
      }
  }
}

/// Until there were so many waits. Takes and gives what the others may all lack.
st::task<> reached(world& w, std::uint64_t waits) {
  while (w.waits < waits) {
    auto s =
        co_await st::select{w.meet.send(one), w.buffer.send(one), w.jobs.send(one), w.meet.recv(),
                            w.buffer.recv(),  w.jobs.recv(),      st::otherwise};
    if (s.index() < 3) ++w.in_flight;
    if (s.index() > 2 && s.index() < 6) --w.in_flight;
    co_await st::yield();
  }
}

// For ever: only a cancellation, or a failure beside it, ends it.
st::task<> leaf(world& w, std::uint64_t seed) {
  count_life life(w);
  dice d(seed);
  for (;;) co_await one_wait(w, d);
}

st::task<> branch(world& w, std::uint64_t seed, int depth) {
  count_life life(w);
  dice d(seed);
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 0; i < 3; ++i) {
      if (depth > 0) {
        g.go(branch, std::ref(w), d.below(1u << 30), depth - 1);
      } else {
        g.go(leaf, std::ref(w), d.below(1u << 30));
      }
    }
    for (;;) co_await one_wait(w, d);
  });
}

st::task<> one_round(std::uint64_t seed) {
  world w;
  w.gate.add();
  dice d(seed);
  const std::uint64_t way = d.below(4);
  const std::uint64_t until = d.below(3000);
  const auto tree = [&]() -> st::task<> { co_await branch(w, seed, 2); };
  std::string end;
  try {
    if (way == 0) {  // by a source
      st::cancel_source source;
      auto killer = st::go([&]() -> st::task<> {
        co_await reached(w, until);
        source.cancel();
      });
      try {
        co_await st::with_context(source, tree());
      } catch (const st::cancelled&) {
        end = "cancelled";
      }
      co_await killer;
    } else if (way == 1) {  // by a deadline
      try {
        co_await st::with_timeout(std::chrono::microseconds(until), tree());
      } catch (const st::timed_out&) {
        end = "timed out";
      }
    } else if (way == 2) {  // by the failure of another member
      co_await st::scope([&](st::group& g) -> st::task<> {
        g.go(branch, std::ref(w), seed, 2);
        g.go(leaf, std::ref(w), seed + 1);
        co_await reached(w, until);
        throw std::runtime_error("failed");
      });
    } else {  // by the group
      st::group g;
      auto handle = g.go(branch, std::ref(w), seed, 1);
      co_await reached(w, until);
      g.cancel();
      co_await g.join();
      end = "group";
    }
  } catch (const std::runtime_error& e) {
    end = e.what();
  }
  const char* const expected[] = {"cancelled", "timed out", "failed", "group"};
  EXPECT_EQ(end, expected[way]);
  EXPECT_EQ(w.born, w.ended);
  EXPECT_EQ(w.inside, 0);
  EXPECT_EQ(w.used, 0);
  EXPECT_TRUE(w.lock.try_lock());
  EXPECT_TRUE(w.units.try_acquire(5));
  // What is in the channels is what was sent and not received.
  while (auto v = w.buffer.try_recv()) --w.in_flight;
  while (auto v = w.jobs.try_recv()) --w.in_flight;
  EXPECT_FALSE(w.meet.try_recv());
  EXPECT_EQ(w.in_flight, 0);
  w.gate.done();
}

TEST(StressCancellation, TreesEndAndHoldNothing) {
  for (unsigned workers : {1u, 2u, 4u}) {
    SCOPED_TRACE(workers);
    st::run(st::runtime_options().workers(workers), []() -> st::task<> {
      const std::uint64_t rounds = strait_test::scaled(80);
      for (std::uint64_t i = 1; i <= rounds; ++i) co_await one_round(i);
    });
  }
}

TEST(StressCancellation, SeveralTreesAtOnce) {
  st::run(st::runtime_options().workers(4), []() -> st::task<> {
    const std::uint64_t rounds = strait_test::scaled(50);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (std::uint64_t k = 0; k < 4; ++k) {
        g.go([rounds, k]() -> st::task<> {
          for (std::uint64_t i = 0; i < rounds; ++i) co_await one_round(k * 1000 + i + 1);
        });
      }
      co_return;
    });
  });
}

// Both ends of a channel are cancelled at once: whoever leaves first is no end for the other.
TEST(StressCancellation, ANeighbourThatLeavesIsNoEnd) {
  std::atomic<int> ends{0};
  for (std::uint64_t k = 0; k < strait_test::scaled(400); ++k) {
    st::run(st::runtime_options().workers(4), [&ends]() -> st::task<> {
      co_await st::scope([&ends](st::group& g) -> st::task<> {
        for (int i = 0; i < 16; ++i) {
          auto [tx, rx] = st::make_chan<int>(i % 2 == 0 ? 0u : 1u);
          g.go(
              [](st::sender<int> to) -> st::task<> {
                for (;;) co_await to.send(1);
              },
              std::move(tx));
          g.go(
              [](st::receiver<int> from, std::atomic<int>& n) -> st::task<> {
                while (auto v = co_await from.recv()) {
                }
                ++n;
              },
              std::move(rx), std::ref(ends));
        }
        co_await st::sleep(100us);
        g.cancel();
      });
    });
  }
  EXPECT_EQ(ends, 0);
}

// A detached goroutine that sends to the root's own channel is cancelled before that goes away.
TEST(StressCancellation, WhatLeavesWithTheRootIsSeenByNobody) {
  for (unsigned workers : {1u, 4u}) {
    for (std::uint64_t k = 0; k < strait_test::scaled(400); ++k) {
      const int got = st::run(st::runtime_options().workers(workers), []() -> st::task<int> {
        auto [tx, rx] = st::make_chan<int>(1);
        st::go(
            [](st::sender<int> out) -> st::task<> {
              for (int i = 7;; ++i) co_await out.send(i);
            },
            std::move(tx));
        auto v = co_await rx.recv();
        co_return *v;
      });
      EXPECT_EQ(got, 7);
    }
  }
}

// The end of the runtime finds goroutines in the middle of everything.
TEST(StressCancellation, EndOfTheRuntime) {
  const std::uint64_t rounds = strait_test::scaled(200);
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    world* w = nullptr;
    st::run(st::runtime_options().workers(1 + static_cast<unsigned>(i % 4)),
            [&w, i]() -> st::task<> {
              w = new world;
              w->gate.add();
              for (std::uint64_t k = 0; k < 8; ++k) {
                st::go(leaf, std::ref(*w), i * 8 + k);
                if (k % 4 == 0) st::go(branch, std::ref(*w), i * 8 + k, 1);
              }
              co_await reached(*w, 50 * (i % 7));
            });
    EXPECT_EQ(w->born, w->ended);
    EXPECT_EQ(w->inside, 0);
    EXPECT_EQ(w->used, 0);
    EXPECT_TRUE(w->lock.try_lock());
    EXPECT_TRUE(w->units.try_acquire(5));
    delete w;
  }
}

}  // namespace
