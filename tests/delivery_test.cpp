// Deliveries: a taken value stays the channel's until it is settled.
#include <strait/delivery.hpp>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::counted;
using strait_test::run_on;
using strait_test::settle;

TEST(delivery, an_acked_value_is_gone) {
  run_on(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(2);
    co_await tx.send(1);
    auto d = co_await rx.take();
    EXPECT_TRUE(d);
    EXPECT_EQ(*d, 1);
    EXPECT_EQ(d.attempt(), 1u);
    EXPECT_TRUE(d.pending());
    d.extend(1s);  // nothing to do near by
    EXPECT_TRUE(d.ack());
    EXPECT_FALSE(d.pending());
    EXPECT_EQ(*d, 1);  // the value stays readable
    EXPECT_FALSE(d.ack());
    EXPECT_FALSE(d.give_back());
    EXPECT_FALSE(rx.try_recv());
    EXPECT_EQ(rx.len(), 0u);
  });
}

TEST(delivery, what_is_given_back_comes_first_with_one_more_attempt) {
  run_on(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(8);
    for (int i = 1; i <= 3; ++i) co_await tx.send(i);
    auto one = co_await rx.take();
    auto two = co_await rx.take();
    EXPECT_EQ(rx.len(), 1u);
    EXPECT_TRUE(two.give_back());
    EXPECT_TRUE(one.give_back());
    EXPECT_EQ(rx.len(), 3u);
    auto again = co_await rx.take();
    EXPECT_EQ(*again, 1);
    EXPECT_EQ(again.attempt(), 2u);
    again.give_back();
    auto third = co_await rx.take();
    EXPECT_EQ(*third, 1);
    EXPECT_EQ(third.attempt(), 3u);
    third.ack();
    auto v = co_await rx.recv();
    EXPECT_EQ(*v, 2);  // a plain receive gets what came back as well
    auto w = co_await rx.take();
    EXPECT_EQ(*w, 3);
    EXPECT_EQ(w.attempt(), 1u);
    w.ack();
  });
}

TEST(delivery, destroyed_unacked_it_goes_back) {
  run_on(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<std::unique_ptr<int>>(2);
    co_await tx.send(std::make_unique<int>(1));
    co_await tx.send(std::make_unique<int>(2));
    {
      auto d = co_await rx.take();
      EXPECT_EQ(**d, 1);
    }
    auto d = co_await rx.take();
    EXPECT_EQ(**d, 1);
    EXPECT_EQ(d.attempt(), 2u);
    auto moved = std::move(d);
    EXPECT_FALSE(d.pending());
    EXPECT_TRUE(moved.pending());
    auto other = co_await rx.take();
    EXPECT_EQ(**other, 2);
    moved = std::move(other);  // what it held goes back
    auto first = co_await rx.take();
    EXPECT_EQ(**first, 1);
    EXPECT_EQ(first.attempt(), 3u);
    first.ack();
    moved.reject();
    EXPECT_EQ(rx.len(), 0u);
  });
}

TEST(delivery, an_exception_in_the_worker_gives_the_value_back) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(1);
    co_await tx.send(7);
    auto h = st::go(
        [](st::receiver<int> r) -> st::task<> {
          auto d = co_await r.take();
          throw std::runtime_error("worker failed on " + std::to_string(*d));
        },
        rx);
    auto failed = co_await st::as_result(std::move(h));
    EXPECT_FALSE(failed);
    auto d = co_await rx.take();
    EXPECT_EQ(*d, 7);
    EXPECT_EQ(d.attempt(), 2u);
    d.ack();
  });
}

TEST(delivery, a_receiver_that_waits_gets_what_comes_back) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(1);
    co_await tx.send(1);
    auto d = co_await rx.take();
    auto waits = st::go(
        [](st::receiver<int> r) -> st::task<unsigned> {
          auto again = co_await r.take();
          again.ack();
          co_return again.attempt();
        },
        rx);
    co_await settle();
    d.give_back();
    const unsigned attempt = co_await waits;
    EXPECT_EQ(attempt, 2u);
  });
}

TEST(delivery, the_end_is_seen_only_when_all_is_settled) {
  st::sim::run(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(2);
    co_await tx.send(1);
    co_await tx.send(2);
    tx = {};
    auto one = co_await rx.take();
    auto two = co_await rx.take();
    int ended = 0;
    const auto wait = [&ended](st::receiver<int> r) -> st::task<int> {
      int got = 0;
      while (auto v = co_await r.recv()) got = *v;
      ++ended;
      co_return got;
    };
    auto a = st::go(wait, rx);
    auto b = st::go(wait, rx);
    co_await st::sleep(1s);
    EXPECT_EQ(ended, 0);
    one.ack();
    co_await st::sleep(1s);
    EXPECT_EQ(ended, 0);
    EXPECT_FALSE(rx.try_recv().closed());
    two.give_back();  // goes to one of them, as a plain value
    const int sum = co_await a + co_await b;
    EXPECT_EQ(sum, 2);
    EXPECT_TRUE(rx.try_recv().closed());
    auto end = co_await rx.take();
    EXPECT_FALSE(end);
    EXPECT_FALSE(end.ack());
  });
}

TEST(delivery, the_last_ack_wakes_those_who_wait_for_the_end) {
  run_on(2, [&]() -> st::task<> {
    for (int round = 0; round < 200; ++round) {
      auto [tx, rx] = st::make_chan<int>(1);
      co_await tx.send(1);
      tx.close();
      auto d = co_await rx.take();
      auto h = st::go(
          [](st::receiver<int> r) -> st::task<bool> {
            auto v = co_await r.recv();
            co_return v.closed();
          },
          rx);
      if (round % 2 == 0) co_await st::yield();
      d.ack();
      const bool closed = co_await h;
      EXPECT_TRUE(closed);
    }
  });
}

TEST(delivery, it_keeps_the_channel_alive_but_counts_as_no_handle) {
  st::delivery<counted> d;
  EXPECT_FALSE(d);
  run_on(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<counted>(4);
    co_await tx.send(counted(5));
    d = co_await rx.take();
    rx = {};
    counted keep(6);
    bool no_receiver = false;
    try {
      co_await tx.send(std::move(keep));
    } catch (const st::closed& e) {
      no_receiver = e.code() == st::channel_errc::no_receiver;
    }
    EXPECT_TRUE(no_receiver);
    EXPECT_EQ(keep.value, 6);
  });
  EXPECT_EQ(d->value, 5);
  EXPECT_TRUE(d.give_back());  // to nobody
  d = st::delivery<counted>();
  EXPECT_EQ(counted::alive, 0);
}

TEST(delivery, a_take_that_lost_or_was_cancelled_holds_nothing) {
  st::sim::run(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(0);
    try {
      auto d = co_await st::with_timeout(1s, rx.take());
      ADD_FAILURE() << "there is no value";
    } catch (const st::timed_out&) {
    }
    EXPECT_EQ(tx.try_send(1), st::send_result::full);  // nobody waits any more
    tx.close();
    EXPECT_TRUE(rx.try_recv().closed());  // and nothing is leased
  });
}

TEST(delivery, workers_that_fail_lose_nothing) {
  const auto n = static_cast<int>(strait_test::scaled(20'000));
  for (const unsigned workers : {1u, 2u, 4u}) {
    run_on(workers, [&]() -> st::task<> {
      auto [tx, rx] = st::make_chan<int>(16);
      auto [done, results] = st::make_chan<int>(16);
      auto body = [&, jobs = std::move(rx),
                   out = std::move(done)](st::group& g) mutable -> st::task<> {
        for (int i = 0; i < 4; ++i) {
          g.go(
              [](st::receiver<int> from, st::sender<int> to) -> st::task<> {
                while (auto d = co_await from.take()) {
                  // Fails a value as often as its last digit says; destroying the delivery is
                  // enough.
                  if (d.attempt() <= static_cast<unsigned>(*d % 3)) continue;
                  co_await to.send(*d);
                  d.ack();
                }
              },
              jobs, out);
        }
        jobs = {};
        out = {};
        g.go(
            [](st::sender<int> to, int count) -> st::task<> {
              for (int i = 0; i < count; ++i) co_await to.send(i);
            },
            std::move(tx), n);
        std::vector<int> seen;
        while (auto v = co_await results.recv()) seen.push_back(*v);
        std::sort(seen.begin(), seen.end());
        EXPECT_EQ(seen.size(), static_cast<std::size_t>(n));
        for (int i = 0; i < n && i < static_cast<int>(seen.size()); ++i) {
          EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
        }
      };
      co_await st::scope(std::move(body));
    });
  }
}

TEST(delivery, many_given_back_at_once_are_no_recursion) {
  run_on(1, [&]() -> st::task<> {
    constexpr int n = 200'000;
    auto [tx, rx] = st::make_chan<int>(n);
    for (int i = 0; i < n; ++i) EXPECT_EQ(tx.try_send(i), st::send_result::sent);
    std::vector<st::delivery<int>> taken;
    for (int i = 0; i < n; ++i) {
      auto d = co_await rx.take();
      taken.push_back(std::move(d));
    }
    while (!taken.empty()) taken.pop_back();  // in reverse order
    auto first = rx.try_recv();
    EXPECT_EQ(*first, 0);
    EXPECT_EQ(rx.len(), static_cast<std::size_t>(n - 1));
  });
}

}  // namespace
