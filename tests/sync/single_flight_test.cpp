// single_flight: one call at a time for a key, its answer for all, and cancellations that hurt
// nobody else.
#include <strait/sync/single_flight.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;

TEST(single_flight, who_asks_meanwhile_gets_the_same_answer) {
  st::sim::run(1, []() -> st::task<> {
    st::single_flight<std::string, int> flights;
    int calls = 0, shared = 0;
    const auto ask = [&](std::string key) -> st::task<> {
      auto slow = [&calls]() -> st::task<int> {
        co_await st::sleep(1s);
        co_return ++calls;
      };
      auto a = co_await flights.call(key, slow);
      EXPECT_EQ(a.value, 1);
      shared += a.shared ? 1 : 0;
    };
    auto one = st::go(ask, "k"), two = st::go(ask, "k"), three = st::go(ask, "k");
    co_await one;
    co_await two;
    co_await three;
    EXPECT_EQ(shared, 3);
    auto later = co_await flights.call("k", [&] { return calls + 10; });  // a plain function
    EXPECT_EQ(later.value, 11);
    EXPECT_FALSE(later.shared);
  });
}

TEST(single_flight, keys_do_not_wait_for_each_other) {
  st::sim::run(1, []() -> st::task<> {
    st::single_flight<int, int> flights;
    const auto start = st::now();
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int key = 0; key < 5; ++key) {
        g.go([&, key]() -> st::task<> {
          auto slow = [key]() -> st::task<int> {
            co_await st::sleep(1s);
            co_return key;
          };
          auto a = co_await flights.call(key, slow);
          EXPECT_EQ(a.value, key);
        });
      }
      co_return;
    });
    EXPECT_EQ(st::now() - start, 1s);
  });
}

TEST(single_flight, all_get_the_exception) {
  st::sim::run(1, []() -> st::task<> {
    st::single_flight<int, int> flights;
    int failed = 0;
    const auto ask = [&]() -> st::task<> {
      auto fails = []() -> st::task<int> {
        co_await st::sleep(1s);
        throw std::runtime_error("no answer");
      };
      try {
        co_await flights.call(1, fails);
      } catch (const std::runtime_error& e) {
        failed += e.what() == std::string("no answer") ? 1 : 0;
      }
    };
    auto one = st::go(ask), two = st::go(ask);
    co_await one;
    co_await two;
    EXPECT_EQ(failed, 2);
  });
}

TEST(single_flight, a_cancelled_caller_takes_nobody_along) {
  st::sim::run(1, []() -> st::task<> {
    st::single_flight<int, int> flights;
    int calls = 0;
    auto slow = [&calls]() -> st::task<int> {
      co_await st::sleep(10s);
      co_return ++calls;
    };
    auto impatient = st::go([&]() -> st::task<> {
      try {
        co_await st::with_timeout(1s, flights.call(1, slow));
        ADD_FAILURE() << "it takes ten seconds";
      } catch (const st::timed_out&) {
      }
    });
    co_await st::sleep(500ms);
    auto a = co_await flights.call(1, slow);
    EXPECT_EQ(a.value, 1);
    EXPECT_EQ(calls, 1);
    co_await impatient;
  });
}

TEST(single_flight, a_call_that_cancels_itself_is_no_cancellation_of_those_who_wait) {
  run_on(1, []() -> st::task<> {
    st::single_flight<int, int> flights;
    bool told = false;
    try {
      co_await flights.call(1, []() -> int { throw st::cancelled(); });
    } catch (const st::join_error&) {
      told = true;
    }
    EXPECT_TRUE(told);
  });
}

TEST(single_flight, forget_starts_anew) {
  st::sim::run(1, []() -> st::task<> {
    st::single_flight<int, int> flights;
    auto slow = []() -> st::task<int> {
      co_await st::sleep(1s);
      co_return 1;
    };
    auto first = st::go([&]() -> st::task<int> {
      auto a = co_await flights.call(1, slow);
      co_return a.value;
    });
    co_await st::sleep(1ms);
    flights.forget(1);
    auto second = co_await flights.call(1, [] { return 2; });
    EXPECT_EQ(second.value, 2);
    const int one = co_await first;
    EXPECT_EQ(one, 1);
  });
}

TEST(single_flight, under_load_every_answer_belongs_to_its_key) {
  run_on(4, []() -> st::task<> {
    st::single_flight<int, int> flights;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 16; ++i) {
        g.go([&, i]() -> st::task<> {
          for (int k = 0; k < static_cast<int>(scaled(500)); ++k) {
            const int key = (i + k) % 5;
            auto f = [key]() -> st::task<int> {
              co_await st::yield();
              co_return 10 * key;
            };
            auto a = co_await flights.call(key, f);
            EXPECT_EQ(a.value, 10 * key);
          }
        });
      }
      co_return;
    });
  });
}

}  // namespace
