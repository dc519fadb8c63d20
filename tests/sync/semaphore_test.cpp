#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <strait/sim.hpp>
#include <strait/strait.hpp>
#include <strait/sync/semaphore.hpp>

#include "local.hpp"

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::settle;

namespace {

const st::runtime_options one = st::runtime_options().workers(1);

TEST(Semaphore, CountsUnits) {
  st::run([]() -> st::task<> {
    st::semaphore s(3);
    EXPECT_EQ(s.size(), 3u);
    auto a = co_await s.acquire(2);
    EXPECT_EQ(a.weight(), 2u);
    EXPECT_FALSE(s.try_acquire(2));
    auto b = s.try_acquire();
    EXPECT_TRUE(b);
    EXPECT_FALSE(s.try_acquire());
    a.release();
    EXPECT_FALSE(a);
    EXPECT_TRUE(s.try_acquire(2));
    b = s.try_acquire(2);  // gives the one back afterwards
    EXPECT_EQ(b.weight(), 2u);
    EXPECT_TRUE(s.try_acquire(1));
    st::semaphore::permit c = std::move(b);
    EXPECT_FALSE(b);  // NOLINT: moved from is empty
    EXPECT_EQ(c.weight(), 2u);
  });
}

TEST(Semaphore, ReleaseOfMoreThanHeldIsMisuse) {
  st::semaphore s(2);
  EXPECT_THROW(s.release(), st::misuse);
  auto p = s.try_acquire(2);
  EXPECT_EQ(p.detach(), 2u);
  EXPECT_FALSE(p);
  EXPECT_FALSE(s.try_acquire());
  EXPECT_THROW(s.release(3), st::misuse);
  EXPECT_FALSE(s.try_acquire());  // nothing changed
  s.release(2);
  EXPECT_THROW(s.release(1), st::misuse);
  EXPECT_TRUE(s.try_acquire(2));
}

TEST(Semaphore, ServesInOrderWhateverTheWeight) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(4);
    std::vector<int> order;
    auto all = co_await s.acquire(4);
    std::vector<st::join_handle<>> waiters;
    for (int who : {3, 2, 4, 3, 2}) {  // no two at a time: the order shows
      waiters.push_back(st::go([&s, &order, who]() -> st::task<> {
        auto p = co_await s.acquire(static_cast<std::size_t>(who));
        order.push_back(who);
      }));
      co_await settle();
    }
    EXPECT_FALSE(s.try_acquire());
    all.release();
    for (auto& w : waiters) co_await w;
    EXPECT_EQ(order, (std::vector<int>{3, 2, 4, 3, 2}));
  });
}

TEST(Semaphore, LargeWaiterBlocksLaterSmallOnes) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(2);
    auto held = co_await s.acquire(1);
    bool large_in = false, small_in = false;
    auto large = st::go([&]() -> st::task<> {
      auto p = co_await s.acquire(2);
      large_in = true;
    });
    co_await settle();
    auto small = st::go([&]() -> st::task<> {
      auto p = co_await s.acquire(1);
      small_in = true;
      EXPECT_TRUE(large_in);
    });
    co_await settle();
    EXPECT_FALSE(small_in);
    EXPECT_FALSE(s.try_acquire(1));  // there is one, but others wait
    held.release();
    co_await large;
    co_await small;
  });
}

TEST(Semaphore, CancelledHeadLetsTheNextProceed) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(2);
    auto held = co_await s.acquire(1);
    st::cancel_source source;
    bool was_cancelled = false;
    auto large = st::go([&]() -> st::task<> {
      try {
        auto p = co_await st::with_context(source, s.acquire(2));
      } catch (const st::cancelled&) {
        was_cancelled = true;
      }
    });
    co_await settle();
    bool small_in = false;
    auto small = st::go([&]() -> st::task<> {
      auto p = co_await s.acquire(1);
      small_in = true;
    });
    co_await settle();
    EXPECT_FALSE(small_in);
    source.cancel();
    co_await large;
    EXPECT_TRUE(was_cancelled);
    co_await small;
    EXPECT_TRUE(small_in);
    held.release();
    EXPECT_TRUE(s.try_acquire(2));
  });
}

TEST(Semaphore, CancelledWaiterHasTakenNothing) {
  st::run([]() -> st::task<> {
    st::semaphore s(2);
    auto held = co_await s.acquire(2);
    bool out = false;
    try {
      auto p = co_await st::with_timeout(2ms, s.acquire());
    } catch (const st::timed_out&) {
      out = true;
    }
    EXPECT_TRUE(out);
    held.release();
    EXPECT_TRUE(s.try_acquire(2));
    st::cancel_source source;
    source.cancel();
    bool was_cancelled = false;
    try {
      auto p = co_await st::with_context(source, s.acquire());
    } catch (const st::cancelled&) {
      was_cancelled = true;
    }
    EXPECT_TRUE(was_cancelled);
    EXPECT_TRUE(s.try_acquire(2));
  });
}

TEST(Semaphore, TooMuchWaitsForItsCancellationAndStopsNobody) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(2);
    st::cancel_source source;
    bool out = false;
    auto greedy = st::go([&]() -> st::task<> {
      try {
        auto p = co_await st::with_context(source, s.acquire(3));
      } catch (const st::cancelled&) {
        out = true;
      }
    });
    co_await settle();
    EXPECT_FALSE(out);
    EXPECT_FALSE(s.try_acquire(3));
    auto p = co_await s.acquire(2);
    p.release();
    p = co_await s.acquire(1);
    EXPECT_TRUE(p);
    source.cancel();
    co_await greedy;
    EXPECT_TRUE(out);
  });
}

TEST(Semaphore, IsACaseOfSelect) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(1);
    st::chan<int> c(0);
    auto first = co_await st::select{s.acquire(2), s.acquire(1), c.recv()};
    EXPECT_EQ(first.index(), 1u);
    auto p = std::move(first.get<1>());
    EXPECT_EQ(p.weight(), 1u);
    auto waiter = st::go([&]() -> st::task<> {
      auto r = co_await st::select{c.recv(), s.acquire()};
      EXPECT_EQ(r.index(), 1u);
    });
    co_await settle();
    p.release();
    co_await waiter;
    EXPECT_TRUE(s.try_acquire());
  });
}

// A select's case at the head of the queue holds others up; when another case wins they go on.
TEST(Semaphore, LostSelectCaseLetsTheNextProceed) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(2);
    st::chan<int> c(0);
    auto held = co_await s.acquire(1);
    auto chooser = st::go([&]() -> st::task<> {
      auto r = co_await st::select{s.acquire(2), c.recv()};
      EXPECT_EQ(r.index(), 1u);
    });
    co_await settle();
    auto small = st::go([&]() -> st::task<> { auto p = co_await s.acquire(1); });
    co_await settle();
    co_await c.send(1);
    co_await chooser;
    co_await small;
    held.release();
    EXPECT_TRUE(s.try_acquire(2));
  });
}

TEST(Semaphore, WonButNotAskedForIsGivenBack) {
  st::run(one, []() -> st::task<> {
    st::semaphore s(2);
    auto held = co_await s.acquire(2);
    auto careless = st::go([&]() -> st::task<> {
      st::select_list list;
      list.add(s.acquire(2));
      co_await list;
      EXPECT_FALSE(s.try_acquire());
    });
    co_await settle();
    held.release();
    co_await careless;
    EXPECT_TRUE(s.try_acquire(2));
  });
}

TEST(Semaphore, PlainThreadsTakePart) {
  st::run([]() -> st::task<> {
    st::semaphore s(2);
    std::atomic<int> inside{0};
    st::outside_work busy;
    const auto each = static_cast<int>(strait_test::scaled(3000));
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          auto p = st::wait(s.acquire());
          EXPECT_LE(++inside, 2);
          --inside;
        }
      });
    }
    for (int i = 0; i < each; ++i) {
      auto p = co_await s.acquire();
      EXPECT_LE(++inside, 2);
      --inside;
    }
    for (auto& t : threads) t.join();
    EXPECT_TRUE(s.try_acquire(2));
  });
}

TEST(Semaphore, StressOfWeightsAndCancellations) {
  for (unsigned workers : {1u, 2u, 4u}) {
    st::run(st::runtime_options().workers(workers), []() -> st::task<> {
      st::semaphore s(7);
      std::atomic<int> used{0};
      std::atomic<long> had{0}, gave_up{0};
      const auto each = static_cast<int>(strait_test::scaled(3000));
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int k = 0; k < 10; ++k) {
          g.go([&, k]() -> st::task<> {
            for (int i = 0; i < each; ++i) {
              const auto weight = static_cast<std::size_t>(1 + (i * 5 + k) % 7);
              st::semaphore::permit p;
              if ((i + k) % 3 == 0) {
                try {
                  p = co_await st::with_timeout(30us, s.acquire(weight));
                } catch (const st::timed_out&) {
                }
              } else {
                p = co_await s.acquire(weight);
              }
              if (!p) {
                ++gave_up;
                continue;
              }
              EXPECT_LE(used += static_cast<int>(weight), 7);
              if (i % 8 == 0) co_await st::yield();
              used -= static_cast<int>(weight);
              ++had;
            }
          });
        }
        co_return;
      });
      EXPECT_EQ(had + gave_up, 10l * each);
      EXPECT_TRUE(s.try_acquire(7));
    });
  }
}

TEST(Semaphore, HoldsInEverySimulatedOrder) {
  const auto failed = st::sim::explore(1, strait_test::scaled(500), []() -> st::task<> {
    st::semaphore s(3);
    std::size_t used = 0;
    int ended = 0;
    st::cancel_source source;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (std::size_t k = 0; k < 5; ++k) {
        g.go([&, k]() -> st::task<> {
          for (std::size_t i = 0; i < 4; ++i) {
            const std::size_t weight = 1 + (i + k) % 3;
            try {
              st::semaphore::permit p;
              if (k == 0) {
                p = co_await st::with_context(source, s.acquire(weight));
              } else {
                p = co_await s.acquire(weight);
              }
              used += weight;
              if (used > 3) throw std::runtime_error("more than there is");
              co_await st::yield();
              used -= weight;
            } catch (const st::cancelled&) {
            }
            ++ended;
          }
        });
      }
      g.go([&] { source.cancel(); });
      co_return;
    });
    if (ended != 20) throw std::runtime_error("somebody was left out");
    if (!s.try_acquire(3)) throw std::runtime_error("not all was given back");
  });
  EXPECT_FALSE(failed.has_value());
}

}  // namespace
