// once and once_value: one call, everybody waits for it, and what happens if it fails.
#include <strait/sync/once.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;

TEST(once, all_callers_see_it_done) {
  for (unsigned workers : {1u, 2u, 4u}) {
    run_on(workers, []() -> st::task<> {
      for (std::uint64_t round = 0; round < scaled(200); ++round) {
        st::once o;
        int value = 0, calls = 0;
        EXPECT_FALSE(o.done());
        co_await st::scope([&](st::group& g) -> st::task<> {
          for (int i = 0; i < 8; ++i) {
            g.go([&]() -> st::task<> {
              co_await o.call([&]() -> st::task<> {
                co_await st::yield();
                ++calls;
                value = 7;
              });
              EXPECT_EQ(value, 7);
            });
          }
          co_return;
        });
        EXPECT_EQ(calls, 1);
        EXPECT_TRUE(o.done());
        co_await o.call([&] { ++calls; });  // a plain function, and too late
        EXPECT_EQ(calls, 1);
      }
    });
  }
}

TEST(once, a_failure_is_its_caller_s_and_counts_as_done) {
  run_on(2, []() -> st::task<> {
    st::once o;
    int calls = 0;
    std::string error;
    try {
      co_await o.call([&] {
        ++calls;
        throw std::runtime_error("failed");
      });
    } catch (const std::runtime_error& e) {
      error = e.what();
    }
    EXPECT_EQ(error, "failed");
    co_await o.call([&] { ++calls; });
    EXPECT_EQ(calls, 1);
  });
}

TEST(once, if_its_caller_is_cancelled_the_next_one_tries) {
  st::sim::run(1, []() -> st::task<> {
    st::once o;
    std::string log;
    const auto slow = [&log](char name) {
      return [&log, name]() -> st::task<> {
        log += name;
        co_await st::sleep(10s);
        log += static_cast<char>(name - 'a' + 'A');
      };
    };
    auto first = st::go([&]() -> st::task<> {
      auto f = slow('a');
      try {
        co_await st::with_timeout(1s, o.call(f));
        ADD_FAILURE() << "it takes ten seconds";
      } catch (const st::timed_out&) {
      }
    });
    co_await st::sleep(1ms);
    auto second = st::go([&]() -> st::task<> { co_await o.call(slow('b')); });
    co_await st::sleep(1ms);
    auto third = st::go([&]() -> st::task<> { co_await o.call(slow('c')); });
    co_await first;
    co_await third;
    EXPECT_EQ(log, "abB");
    co_await second;
  });
}

TEST(once_value, is_made_once_and_kept) {
  for (unsigned workers : {1u, 4u}) {
    run_on(workers, []() -> st::task<> {
      int calls = 0;
      st::once_value value([&]() -> st::task<std::unique_ptr<std::string>> {
        ++calls;
        co_await st::yield();
        co_return std::make_unique<std::string>("made");
      });
      const std::string* seen = nullptr;
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int i = 0; i < 8; ++i) {
          g.go([&]() -> st::task<> {
            const auto& v = co_await value.get();
            EXPECT_EQ(*v, "made");
          });
        }
        const auto& mine = co_await value.get();
        seen = mine.get();
      });
      const auto& again = co_await value.get();
      EXPECT_EQ(again.get(), seen);
      EXPECT_EQ(calls, 1);
    });
  }
}

TEST(once_value, keeps_its_exception_and_lets_go_of_its_function) {
  run_on(1, []() -> st::task<> {
    auto held = std::make_shared<int>(1);
    int calls = 0;
    st::once_value value([held, &calls]() -> int {
      ++calls;
      throw std::runtime_error("no value " + std::to_string(*held));
    });
    EXPECT_EQ(held.use_count(), 2);
    for (int i = 0; i < 3; ++i) {
      std::string error;
      try {
        const int& v = co_await value.get();
        ADD_FAILURE() << v;
      } catch (const std::runtime_error& e) {
        error = e.what();
      }
      EXPECT_EQ(error, "no value 1");
    }
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(held.use_count(), 1);
  });
}

}  // namespace
