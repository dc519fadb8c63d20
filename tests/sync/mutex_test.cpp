#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <strait/sim.hpp>
#include <strait/strait.hpp>
#include <strait/sync/mutex.hpp>

#include "local.hpp"

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::settle;

namespace {

const st::runtime_options one = st::runtime_options().workers(1);

st::task<> keep_place(st::mutex& m, std::vector<int>& order, int who) {
  auto hold = co_await m.lock();
  order.push_back(who);
}

TEST(Mutex, ExcludesAndReleases) {
  st::run([]() -> st::task<> {
    st::mutex m;
    {
      auto hold = co_await m.lock();
      EXPECT_TRUE(hold);
      EXPECT_FALSE(m.try_lock());
    }
    auto hold = m.try_lock();
    EXPECT_TRUE(hold);
    EXPECT_FALSE(m.try_lock());
    hold.unlock();
    EXPECT_FALSE(hold);
    hold.unlock();  // nothing
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(Mutex, GuardMoves) {
  st::run([]() -> st::task<> {
    st::mutex m, other;
    auto first = co_await m.lock();
    st::mutex::guard second = std::move(first);
    EXPECT_TRUE(second);
    EXPECT_FALSE(first);  // NOLINT: moved from is empty
    auto third = co_await other.lock();
    third = std::move(second);  // releases `other`
    EXPECT_TRUE(other.try_lock());
    EXPECT_FALSE(m.try_lock());
    auto& same = third;
    third = std::move(same);
    EXPECT_TRUE(third);
    third = st::mutex::guard();
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(Mutex, ServesInOrder) {
  st::run(one, []() -> st::task<> {
    st::mutex m;
    std::vector<int> order;
    auto hold = co_await m.lock();
    std::vector<st::join_handle<>> waiters;
    for (int i = 0; i < 10; ++i) {
      waiters.push_back(st::go(keep_place, std::ref(m), std::ref(order), i));
      co_await settle();
    }
    EXPECT_TRUE(order.empty());
    hold.unlock();
    for (auto& w : waiters) co_await w;
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  });
}

// A waiter loses to whoever runs, once. The second release hands the lock over, so that the
// goroutine that gave it up finds it taken.
TEST(Mutex, NoWaiterIsPassedByTwice) {
  st::run(one, []() -> st::task<> {
    st::mutex m;
    std::vector<int> order;
    auto hold = co_await m.lock();
    auto waiter = st::go(keep_place, std::ref(m), std::ref(order), 1);
    co_await settle();
    hold.unlock();
    hold = m.try_lock();
    EXPECT_TRUE(hold);  // passes the waiter, which is awake but has not run
    co_await settle();
    EXPECT_TRUE(order.empty());
    hold.unlock();
    EXPECT_FALSE(m.try_lock());  // handed over
    co_await waiter;
    EXPECT_EQ(order.size(), 1u);
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(Mutex, BudgetIsYieldedWithoutTheLock) {
  st::run(one, []() -> st::task<> {
    st::mutex m;
    int turns = 0, met_held = 0;
    bool stop = false;
    auto watcher = st::go([&]() -> st::task<> {
      while (!stop) {
        ++turns;
        if (!m.try_lock()) ++met_held;
        co_await st::yield();
      }
    });
    for (int i = 0; i < 5000; ++i) auto hold = co_await m.lock();
    stop = true;
    co_await watcher;
    EXPECT_GT(turns, 10);
    EXPECT_EQ(met_held, 0);
  });
}

TEST(Mutex, CancelledWaiterHasTakenNothing) {
  st::run([]() -> st::task<> {
    st::mutex m;
    auto hold = co_await m.lock();
    bool timed_out = false;
    try {
      auto never = co_await st::with_timeout(2ms, m.lock());
      ADD_FAILURE() << "locked twice";
    } catch (const st::timed_out&) {
      timed_out = true;
    }
    EXPECT_TRUE(timed_out);
    hold.unlock();
    EXPECT_TRUE(m.try_lock());
    auto again = co_await st::with_timeout(10s, m.lock());
    EXPECT_TRUE(again);
  });
}

TEST(Mutex, CancelledBeforeEvenIfFree) {
  st::run([]() -> st::task<> {
    st::mutex m;
    st::cancel_source source;
    source.cancel();
    bool was_cancelled = false;
    try {
      auto hold = co_await st::with_context(source, m.lock());
    } catch (const st::cancelled&) {
      was_cancelled = true;
    }
    EXPECT_TRUE(was_cancelled);
    EXPECT_TRUE(m.try_lock());
  });
}

// In every order of a cancellation and a release, each waiter either has the lock or was cancelled,
// and the lock is free at the end.
TEST(Mutex, CancellationRacesWithRelease) {
  const auto rounds = static_cast<int>(strait_test::scaled(2000));
  st::run(st::runtime_options().workers(4), [rounds]() -> st::task<> {
    int had = 0, gone = 0;
    for (int i = 0; i < rounds; ++i) {
      st::mutex m;
      std::atomic<int> locked{0}, cancelled{0};
      co_await st::scope([&](st::group& g) -> st::task<> {
        st::cancel_source source;
        auto hold = co_await m.lock();
        for (int k = 0; k < 3; ++k) {
          g.go([&]() -> st::task<> {
            try {
              auto mine = co_await st::with_context(source, m.lock());
              ++locked;
            } catch (const st::cancelled&) {
              ++cancelled;
            }
          });
        }
        for (int k = 0; k < i % 7; ++k) co_await st::yield();
        auto canceller = g.go([&] { source.cancel(); });
        if (i % 2 != 0) co_await st::yield();
        hold.unlock();
        co_await canceller;
        auto last = co_await m.lock();
        last.unlock();
        while (locked + cancelled != 3) co_await st::yield();
      });
      EXPECT_EQ(locked + cancelled, 3);
      EXPECT_TRUE(m.try_lock());
      had += locked;
      gone += cancelled;
    }
    EXPECT_GT(had, 0);
    EXPECT_GT(gone, 0);
  });
}

TEST(Mutex, IsACaseOfSelect) {
  st::run(one, []() -> st::task<> {
    st::mutex m;
    st::chan<int> c(1);
    {
      auto s = co_await st::select{m.lock(), c.recv()};
      EXPECT_EQ(s.index(), 0u);
      auto hold = std::move(s.get<0>());
      EXPECT_FALSE(m.try_lock());
      auto t = co_await st::select{m.lock(), st::otherwise};
      EXPECT_EQ(t.index(), 1u);
    }
    // Lost: the lock is not taken when it becomes free later.
    auto hold = co_await m.lock();
    auto sender = st::go([&]() -> st::task<> { co_await c.send(1); });
    auto s = co_await st::select{m.lock(), c.recv()};
    EXPECT_EQ(s.index(), 1u);
    hold.unlock();
    EXPECT_TRUE(m.try_lock());
    co_await sender;
    // Won after waiting: handed over by the release.
    hold = co_await m.lock();
    auto waiter = st::go([&]() -> st::task<> {
      auto w = co_await st::select{c.recv(), m.lock()};
      EXPECT_EQ(w.index(), 1u);
      EXPECT_FALSE(m.try_lock());
    });
    co_await settle();
    hold.unlock();
    EXPECT_FALSE(m.try_lock());
    co_await waiter;
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(Mutex, WonButNotAskedForIsReleased) {
  st::run(one, []() -> st::task<> {
    st::mutex m;
    {
      st::select_list list;
      list.add(m.lock());
      const auto i = co_await list;
      EXPECT_EQ(i, 0u);
      EXPECT_FALSE(m.try_lock());
    }
    EXPECT_TRUE(m.try_lock());
    auto hold = co_await m.lock();
    auto waiter = st::go([&]() -> st::task<> {
      st::select_list list;
      auto& e = list.add(m.lock());
      co_await list;
      auto mine = e.result();
      EXPECT_FALSE(m.try_lock());
    });
    auto careless = st::go([&]() -> st::task<> {
      st::select_list list;
      list.add(m.lock());
      co_await list;
    });
    co_await settle();
    hold.unlock();
    co_await waiter;
    co_await careless;
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(Mutex, PlainThreadsTakePart) {
  st::run([]() -> st::task<> {
    st::mutex m;
    long count = 0;
    const auto each = static_cast<int>(strait_test::scaled(5000));
    st::outside_work busy;
    auto hold = co_await m.lock();
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          auto mine = st::wait(m.lock());
          ++count;
        }
      });
    }
    hold.unlock();
    for (int i = 0; i < each; ++i) {
      auto mine = co_await m.lock();
      ++count;
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(count, 4l * each);
  });
}

TEST(Mutex, StressOverWorkers) {
  for (unsigned workers : {1u, 2u, 4u}) {
    st::run(st::runtime_options().workers(workers), []() -> st::task<> {
      st::mutex m;
      long count = 0;  // guarded by m
      int inside = 0;
      const auto each = static_cast<int>(strait_test::scaled(20000));
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int k = 0; k < 10; ++k) {
          g.go([&, k]() -> st::task<> {
            for (int i = 0; i < each; ++i) {
              auto hold = co_await m.lock();
              EXPECT_EQ(++inside, 1);
              ++count;
              if ((i + k) % 64 == 0) co_await st::yield();
              --inside;
            }
          });
        }
        co_return;
      });
      EXPECT_EQ(count, 10l * each);
    });
  }
}

// With time-outs, select and try_lock mixed: whoever says it holds the lock is alone.
TEST(Mutex, StressWithCancellations) {
  st::run(st::runtime_options().workers(4), []() -> st::task<> {
    st::mutex m;
    int inside = 0;  // guarded by m
    long locked = 0;
    std::atomic<long> gave_up{0};
    const auto each = static_cast<int>(strait_test::scaled(4000));
    st::chan<int> never(0);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int k = 0; k < 8; ++k) {
        g.go([&, k]() -> st::task<> {
          for (int i = 0; i < each; ++i) {
            st::mutex::guard hold;
            switch ((i + k) % 4) {
              case 0: hold = co_await m.lock(); break;
              case 1: hold = m.try_lock(); break;
              case 2: try { hold = co_await st::with_timeout(20us, m.lock());
                } catch (const st::timed_out&) {
                }
                break;
              default: {
                auto s = co_await st::select{m.lock(), never.recv(), st::after(20us)};
                if (s.index() == 0) hold = std::move(s.get<0>());
              }
            }
            if (!hold) {
              ++gave_up;
              continue;
            }
            EXPECT_EQ(++inside, 1);
            ++locked;
            if (i % 16 == 0) co_await st::yield();
            --inside;
          }
        });
      }
      co_return;
    });
    EXPECT_EQ(locked + gave_up, 8l * each);
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(Mutex, MayBeDestroyedByTheNextOwner) {
  const auto rounds = static_cast<int>(strait_test::scaled(5000));
  st::run(st::runtime_options().workers(4), [rounds]() -> st::task<> {
    for (int i = 0; i < rounds; ++i) {
      auto m = std::make_unique<st::mutex>();
      auto hold = co_await m->lock();
      auto other = st::go([&m]() -> st::task<> {
        {
          auto mine = co_await m->lock();
        }
        m.reset();
      });
      if (i % 3 == 0) co_await st::yield();
      hold.unlock();
      co_await other;
    }
  });
}

TEST(Mutex, HoldsInEverySimulatedOrder) {
  const auto failed = st::sim::explore(1, strait_test::scaled(500), []() -> st::task<> {
    st::mutex m;
    int inside = 0, count = 0;
    st::cancel_source source;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int k = 0; k < 4; ++k) {
        g.go([&, k]() -> st::task<> {
          for (int i = 0; i < 5; ++i) {
            try {
              st::mutex::guard hold;
              if (k == 3) {
                hold = co_await st::with_context(source, m.lock());
              } else {
                hold = co_await m.lock();
              }
              if (++inside != 1) throw std::runtime_error("two inside");
              ++count;
              co_await st::yield();
              --inside;
            } catch (const st::cancelled&) {
              ++count;
            }
          }
        });
      }
      g.go([&] { source.cancel(); });
      co_return;
    });
    if (count != 20) throw std::runtime_error("somebody was left out");
    if (!m.try_lock()) throw std::runtime_error("still held");
  });
  EXPECT_FALSE(failed.has_value());
}

}  // namespace
