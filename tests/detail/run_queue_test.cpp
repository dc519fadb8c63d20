// The run queue: FIFO for its owner, and nothing lost or doubled under thieves.
#include <strait/detail/run_queue.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using namespace strait::detail;

std::vector<goroutine> blocks(std::size_t n) { return std::vector<goroutine>(n); }

TEST(run_queue, is_fifo_and_says_when_it_is_full) {
  for (const bool solo : {true, false}) {
    auto q = std::make_unique<run_queue>();
    auto g = blocks(run_queue::capacity + 1);
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(q->pop(solo), nullptr);
      for (std::size_t i = 0; i < run_queue::capacity; ++i) EXPECT_TRUE(q->push(&g[i], solo));
      EXPECT_FALSE(q->push(&g.back(), solo));
      EXPECT_EQ(q->size(), run_queue::capacity);
      for (std::size_t i = 0; i < run_queue::capacity; ++i) EXPECT_EQ(q->pop(solo), &g[i]);
    }
  }
}

TEST(run_queue, a_thief_takes_half_rounded_up) {
  auto mine = std::make_unique<run_queue>(), other = std::make_unique<run_queue>();
  auto g = blocks(5);
  EXPECT_EQ(other->steal_half(*mine), nullptr);
  for (auto& one : g) other->push(&one, false);
  EXPECT_NE(other->steal_half(*mine), nullptr);
  EXPECT_EQ(other->size(), 2u);
  EXPECT_EQ(mine->size(), 2u);
  EXPECT_EQ(other->pop(false), &g[3]);
}

TEST(run_queue, every_goroutine_comes_out_exactly_once_under_thieves) {
  const std::size_t n = strait_test::scaled(200'000);
  auto g = blocks(n);
  auto q = std::make_unique<run_queue>();
  std::vector<std::atomic<int>> seen(n);
  std::atomic<std::size_t> total{0};
  const auto count = [&](goroutine* one) {
    seen[static_cast<std::size_t>(one - g.data())].fetch_add(1);
    total.fetch_add(1);
  };
  std::vector<std::thread> thieves;
  for (int t = 0; t < 3; ++t) {
    thieves.emplace_back([&] {
      auto mine = std::make_unique<run_queue>();
      while (total.load() < n) {
        if (goroutine* const one = q->steal_half(*mine)) count(one);
        while (goroutine* const one = mine->pop(false)) count(one);
      }
    });
  }
  for (std::size_t i = 0; i < n;) {
    if (q->push(&g[i], false)) ++i;
    if (i % 3 == 0) {
      if (goroutine* const one = q->pop(false)) count(one);
    }
  }
  while (goroutine* const one = q->pop(false)) count(one);
  for (auto& t : thieves) t.join();
  EXPECT_EQ(total.load(), n);
  for (auto& times : seen) ASSERT_EQ(times.load(), 1);
}

}  // namespace
