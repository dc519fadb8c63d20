// The timer heap against a sorted list: order, age, stopping, and what fires when.
#include <strait/detail/timer_heap.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "support.hpp"

namespace {

using namespace strait::detail;

struct recorded : timer_node {
  explicit recorded(std::vector<int>& o, int n) : order(&o), number(n) {
    fire = [](timer_node* self, nanos, ready_list&) noexcept {
      auto* const r = static_cast<recorded*>(self);
      r->order->push_back(r->number);
    };
  }
  std::vector<int>* order;
  int number;
};

TEST(timer_heap, fires_in_order_of_time_then_of_age) {
  timer_heap heap;
  std::vector<int> order;
  std::vector<std::unique_ptr<recorded>> nodes;
  const nanos when[] = {50, 10, 30, 10, 50, 20, 10};
  for (int i = 0; i < 7; ++i) {
    nodes.push_back(std::make_unique<recorded>(order, i));
    nodes.back()->when = when[i];
    heap.add_locked(nodes.back().get());
  }
  ready_list woken;
  EXPECT_EQ(heap.first(), 10);
  EXPECT_FALSE(heap.fire(9, woken));
  EXPECT_TRUE(heap.fire(30, woken));
  EXPECT_EQ(order, (std::vector<int>{1, 3, 6, 5, 2}));
  EXPECT_EQ(heap.first(), 50);
  heap.fire(1000, woken);
  EXPECT_EQ(order, (std::vector<int>{1, 3, 6, 5, 2, 0, 4}));
  EXPECT_EQ(heap.first(), never);
}

TEST(timer_heap, random_adds_stops_and_firings_equal_a_sorted_list) {
  std::mt19937 random(7);
  timer_heap heap;
  std::vector<int> order, expected;
  std::vector<std::unique_ptr<recorded>> nodes;
  struct pending {
    nanos when;
    int number;
  };
  std::vector<pending> model;  // in order of age
  nanos now = 0;
  for (std::uint64_t step = 0; step < strait_test::scaled(50'000); ++step) {
    const auto what = random() % 4;
    if (what < 2) {
      const int number = static_cast<int>(nodes.size());
      nodes.push_back(std::make_unique<recorded>(order, number));
      nodes.back()->when = now + static_cast<nanos>(random() % 1000);
      heap.add_locked(nodes.back().get());
      model.push_back({nodes.back()->when, number});
    } else if (what == 2 && !nodes.empty()) {
      const int number = static_cast<int>(random() % nodes.size());
      const auto at = std::find_if(model.begin(), model.end(),
                                   [&](const pending& p) { return p.number == number; });
      EXPECT_EQ(heap.remove_locked(nodes[static_cast<std::size_t>(number)].get()),
                at != model.end());
      if (at != model.end()) model.erase(at);
    } else {
      now += static_cast<nanos>(random() % 300);
      ready_list woken;
      heap.fire(now, woken);
      // The number is the age. (Not stable_sort: libstdc++'s uses what clang calls deprecated.)
      std::sort(model.begin(), model.end(), [](const pending& a, const pending& b) {
        return a.when != b.when ? a.when < b.when : a.number < b.number;
      });
      while (!model.empty() && model.front().when <= now) {
        expected.push_back(model.front().number);
        model.erase(model.begin());
      }
      std::sort(model.begin(), model.end(),
                [](const pending& a, const pending& b) { return a.number < b.number; });
      ASSERT_EQ(order, expected) << "step " << step;
      order.clear();
      expected.clear();
    }
  }
}

TEST(timer_heap, a_timer_may_add_itself_again_while_it_fires) {
  struct periodic : timer_node {
    timer_heap* home;
    int fired = 0;
  } node;
  timer_heap heap;
  node.home = &heap;
  node.when = 10;
  node.fire = [](timer_node* self, nanos, ready_list&) noexcept {
    auto* const p = static_cast<periodic*>(self);
    ++p->fired;
    p->when += 10;
    p->home->add_locked(p);
  };
  heap.add_locked(&node);
  ready_list woken;
  heap.fire(35, woken);
  EXPECT_EQ(node.fired, 3);
  EXPECT_EQ(heap.first(), 40);
  EXPECT_TRUE(heap.remove_locked(&node));
  EXPECT_FALSE(heap.remove_locked(&node));
}

}  // namespace
