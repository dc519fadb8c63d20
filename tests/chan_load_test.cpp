// Channels with many values at once, from plain threads, and under load.
#include <strait/chan.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::counted;
using strait_test::error_of;
using strait_test::run_on;
using strait_test::settle;

st::task<> feed(st::sender<int> tx, int n) {
  for (int i = 0; i < n; ++i) co_await tx.send(i);
}

// --- many at once -------------------------------------------------------------------------------

TEST(chan_load, send_many_and_recv_many_keep_the_order) {
  for (const std::size_t capacity : {0u, 1u, 7u, 100u}) {
    run_on(2, [&]() -> st::task<> {
      auto [tx, rx] = st::make_chan<int>(capacity);
      auto h = st::go(
          [](st::sender<int> s) -> st::task<std::size_t> {
            std::vector<int> values(1000);
            std::iota(values.begin(), values.end(), 0);
            auto sent = co_await s.send_many(values);
            sent += co_await s.send_many({});
            co_return sent;
          },
          std::move(tx));
      int next = 0;
      for (;;) {
        auto some = co_await rx.recv_many(16);
        if (some.empty()) break;
        EXPECT_LE(some.size(), 16u);
        for (const int v : some) EXPECT_EQ(v, next++);
      }
      EXPECT_EQ(next, 1000);
      const auto got11 = co_await h;
      EXPECT_EQ(got11, 1000u);
    });
  }
}

TEST(chan_load, send_many_stops_where_the_channel_was_closed) {
  run_on(1, [&]() -> st::task<> {
    st::chan<std::unique_ptr<int>> c(3);
    auto h = st::go(
        [](st::chan<std::unique_ptr<int>> s) -> st::task<int> {
          std::vector<std::unique_ptr<int>> values;
          for (int i = 0; i < 6; ++i) values.push_back(std::make_unique<int>(i));
          const auto got12 = co_await error_of(s.send_many(values));
          EXPECT_EQ(got12, st::channel_errc::closed);
          co_return static_cast<int>(std::count(values.begin(), values.end(), nullptr));
        },
        c);
    co_await settle();
    c.close();
    const auto got13 = co_await h;
    EXPECT_EQ(got13, 3);
  });
}

// --- from other threads, and under load ---------------------------------------------------------

TEST(chan_load, try_forms_work_on_any_thread) {
  run_on(2, [&]() -> st::task<> {
    constexpr int n = 20'000;
    auto [tx, rx] = st::make_chan<int>(16);
    st::outside_work alive;
    std::thread outside([end = std::move(tx), work = std::move(alive)]() mutable {
      for (int i = 0; i < n;) {
        if (end.try_send(i) == st::send_result::sent) {
          ++i;
        } else {
          std::this_thread::yield();
        }
      }
      end = {};
    });
    int next = 0;
    while (auto v = co_await rx.recv()) EXPECT_EQ(*v, next++);
    EXPECT_EQ(next, n);
    outside.join();
  });
}

TEST(chan_load, many_senders_and_receivers_lose_nothing) {
  for (unsigned workers = 1; workers <= 8; workers = workers < 3 ? workers + 1 : workers + 5) {
    for (const std::size_t capacity : {0u, 1u, 64u}) {
      const auto n = static_cast<int>(strait_test::scaled(3000));
      const long sum = run_on(workers, [&]() -> st::task<long> {
        auto [tx, rx] = st::make_chan<int>(capacity);
        std::vector<st::join_handle<long>> receivers;
        for (int i = 0; i < 4; ++i) {
          receivers.push_back(st::go(
              [](st::receiver<int> r) -> st::task<long> {
                long total = 0;
                int last[4] = {-1, -1, -1, -1};
                while (auto v = co_await r.recv()) {
                  total += *v / 4;
                  EXPECT_GT(*v / 4, last[*v % 4]) << "a sender's values came out of order";
                  last[*v % 4] = *v / 4;
                }
                co_return total;
              },
              rx));
          st::go(
              [](st::sender<int> s, int who, int count) -> st::task<> {
                for (int k = 0; k < count; ++k) co_await s.send(4 * k + who);
              },
              tx, i, n);
        }
        tx = {};
        long total = 0;
        for (auto& r : receivers) total += co_await r;
        co_return total;
      });
      EXPECT_EQ(sum, 4L * n * (n - 1) / 2);
    }
  }
}

// Too short, about right, or enough to get on.
std::chrono::microseconds patience(int tries) {
  return std::chrono::microseconds(tries % 4 == 3 ? 10'000'000 : 2 * (tries % 4));
}

TEST(chan_load, a_cancelled_receive_has_taken_nothing) {
  for (const std::size_t capacity : {0u, 2u}) {
    run_on(2, [&]() -> st::task<> {
      const auto n = static_cast<int>(strait_test::scaled(5000));
      auto [tx, rx] = st::make_chan<int>(capacity);
      auto h = st::go(feed, std::move(tx), n);
      int next = 0, tries = 0;
      for (bool more = true; more;) {
        try {
          auto v = co_await st::with_timeout(patience(tries++), rx.recv());
          more = v.has_value();
          EXPECT_EQ(more ? *v : next, next);
          next += more ? 1 : 0;
        } catch (const st::timed_out&) {  // once more
        }
      }
      EXPECT_EQ(next, n);
      co_await h;
    });
  }
}

TEST(chan_load, a_cancelled_send_has_sent_nothing) {
  run_on(2, [&]() -> st::task<> {
    const auto n = static_cast<int>(strait_test::scaled(5000));
    auto [tx, rx] = st::make_chan<int>(1);
    auto h = st::go(
        [](st::receiver<int> r) -> st::task<int> {
          int next = 0;
          while (auto v = co_await r.recv()) EXPECT_EQ(*v, next++);
          co_return next;
        },
        std::move(rx));
    for (int i = 0, tries = 0; i < n; ++tries) {
      try {
        co_await st::with_timeout(patience(tries), tx.send(i));
        ++i;
      } catch (const st::timed_out&) {  // once more
      }
    }
    tx = {};
    const auto got14 = co_await h;
    EXPECT_EQ(got14, n);
  });
}

}  // namespace
