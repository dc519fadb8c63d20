// select: exactly one case takes effect, fairly, and the others leave no trace.
#include <strait/select.hpp>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;

TEST(select, takes_the_case_that_is_ready) {
  run_on(1, []() -> st::task<> {
    st::chan<int> a(1), b(1);
    co_await a.send(7);
    auto s = co_await st::select{b.recv(), a.recv(), st::otherwise};
    EXPECT_EQ(s.index(), 1u);
    EXPECT_EQ(*s.get<1>(), 7);
    EXPECT_THROW(s.get<0>(), std::bad_variant_access);
    auto t = co_await st::select{a.recv(), b.send(3)};
    EXPECT_EQ(t.index(), 1u);
    EXPECT_EQ(b.len(), 1u);
    EXPECT_EQ(a.len(), 0u);
  });
}

TEST(select, otherwise_wins_only_if_nothing_is_ready_and_never_suspends) {
  run_on(1, []() -> st::task<> {
    st::chan<int> a(1), b(0);
    auto s = co_await st::select{a.recv(), st::otherwise};
    EXPECT_EQ(s.index(), 1u);
    auto t = co_await st::select{a.recv(), b.send(1), b.recv(), st::otherwise};
    EXPECT_EQ(t.index(), 3u);
    co_await a.send(1);
    auto u = co_await st::select{a.recv(), b.send(1), b.recv(), st::otherwise};
    EXPECT_EQ(u.index(), 0u);
  });
}

TEST(select, waits_until_a_case_becomes_ready) {
  run_on(2, []() -> st::task<> {
    for (int which = 0; which < 3; ++which) {
      st::chan<int> a(0), b(0);
      auto other = st::go(
          [](st::chan<int> x, st::chan<int> y, int w) -> st::task<> {
            for (int i = 0; i < 20; ++i) co_await st::yield();
            if (w == 0) co_await x.send(1);
            if (w == 1) co_await y.recv();
            if (w == 2) x.close();
          },
          a, b, which);
      auto s = co_await st::select{a.recv(), b.send(5)};
      EXPECT_EQ(s.index(), which == 1 ? 1u : 0u);
      if (which == 2) {
        EXPECT_TRUE(s.get<0>().closed());
      }
      co_await other;
    }
  });
}

TEST(select, a_send_that_lost_leaves_the_value_with_the_caller) {
  run_on(1, []() -> st::task<> {
    st::chan<std::unique_ptr<int>> full(1);
    st::chan<int> ready(1);
    auto first = std::make_unique<int>(1);
    co_await full.send(std::move(first));
    EXPECT_EQ(first, nullptr);
    co_await ready.send(1);
    auto value = std::make_unique<int>(2);
    auto s = co_await st::select{full.send(std::move(value)), ready.recv()};
    EXPECT_EQ(s.index(), 1u);
    EXPECT_NE(value, nullptr);
    auto got = co_await full.recv();
    auto t = co_await st::select{full.send(std::move(value)), ready.recv()};
    EXPECT_EQ(t.index(), 0u);
    EXPECT_EQ(value, nullptr);
  });
}

TEST(select, nil_channels_are_never_ready) {
  run_on(1, []() -> st::task<> {
    st::chan<int> nil, one(1);
    auto s = co_await st::select{nil.recv(), nil.send(1), one.send(2)};
    EXPECT_EQ(s.index(), 2u);
    auto t = co_await st::select{nil.recv(), nil.send(1), st::otherwise};
    EXPECT_EQ(t.index(), 2u);
    EXPECT_THROW(co_await st::with_timeout(1ms, st::select{nil.recv(), nil.send(1)}),
                 st::timed_out);
  });
}

TEST(select, a_case_that_fails_says_which_it_was) {
  run_on(1, []() -> st::task<> {
    st::chan<int> open(0), shut(0);
    shut.close();
    std::size_t failed_case = 99;
    try {
      auto s = co_await st::select{open.recv(), shut.send(1)};
      (void)s;
    } catch (const st::closed& e) {
      failed_case = e.case_index();
    }
    EXPECT_EQ(failed_case, 1u);
    try {
      co_await shut.send(1);
    } catch (const st::closed& e) {
      EXPECT_EQ(e.case_index(), st::channel_error::no_case);
    }
  });
}

TEST(select, the_same_channel_in_both_directions_never_pairs_with_itself) {
  run_on(1, []() -> st::task<> {
    st::chan<int> c(0);
    EXPECT_THROW(co_await st::with_timeout(1ms, st::select{c.recv(), c.send(1), c.recv()}),
                 st::timed_out);
    auto other = st::go([](st::chan<int> x) -> st::task<> { co_await x.send(9); }, c);
    auto s = co_await st::select{c.recv(), c.send(1), c.recv()};
    EXPECT_NE(s.index(), 1u);
    co_await other;
    st::chan<int> buffered(1);
    auto t = co_await st::select{buffered.recv(), buffered.send(1)};
    EXPECT_EQ(t.index(), 1u);
    auto u = co_await st::select{buffered.recv(), buffered.send(1)};
    EXPECT_EQ(u.index(), 0u);
  });
}

TEST(select, is_uniform_among_the_ready) {
  run_on(1, []() -> st::task<> {
    std::array<int, 4> wins{};
    st::chan<int> a(1), b(1), c(1), never(1);
    co_await a.send(0);
    co_await b.send(0);
    const int rounds = static_cast<int>(scaled(40'000));
    for (int i = 0; i < rounds; ++i) {
      auto s = co_await st::select{never.recv(), a.recv(), c.send(0), b.recv()};
      ++wins[s.index()];
      if (s.index() == 1) co_await a.send(0);
      if (s.index() == 2) co_await c.recv();
      if (s.index() == 3) co_await b.send(0);
    }
    EXPECT_EQ(wins[0], 0);
    for (int i = 1; i < 4; ++i) {
      EXPECT_NEAR(wins[static_cast<std::size_t>(i)], rounds / 3, rounds / 20) << i;
    }
  });
}

TEST(select, ordered_select_prefers_the_first) {
  run_on(1, []() -> st::task<> {
    st::chan<int> a(1), b(1);
    co_await a.send(0);
    co_await b.send(0);
    for (int i = 0; i < 100; ++i) {
      auto s = co_await st::ordered_select{b.recv(), a.recv()};
      EXPECT_EQ(s.index(), 0u);
      co_await b.send(0);
    }
  });
}

TEST(select, operands_are_evaluated_once_from_left_to_right) {
  run_on(1, []() -> st::task<> {
    std::string order;
    st::chan<int> a(1), b(1);
    const auto note = [&](char c, st::chan<int>& ch) -> st::chan<int>& {
      order += c;
      return ch;
    };
    const auto value = [&](char c) {
      order += c;
      return 1;
    };
    auto s = co_await st::select{note('1', a).recv(), b.send(value('2')), note('3', a).recv()};
    EXPECT_EQ(s.index(), 1u);
    EXPECT_EQ(order, "123");
    // Within one case g++ 12 evaluates the value before the channel, in a coroutine.
  });
}

TEST(select, handlers_joins_and_contexts_are_cases_as_well) {
  run_on(1, []() -> st::task<> {
    int seen = 0;
    st::chan<int> a(1);
    co_await a.send(4);
    const auto handle = [&](auto v) { seen = *v; };
    auto s = co_await st::select{st::on(a.recv(), handle)};
    EXPECT_EQ(s.index(), 0u);
    EXPECT_EQ(seen, 4);

    auto job = st::go([]() -> st::task<int> { co_return 6; });
    auto t = co_await st::select{a.recv(), job};
    EXPECT_EQ(t.index(), 1u);
    EXPECT_EQ(t.get<1>(), 6);

    st::cancel_source source;
    auto stopper = st::go([&source]() -> st::task<> {
      co_await st::yield();
      source.cancel();
    });
    auto u = co_await st::select{a.recv(), source.context().done()};
    EXPECT_EQ(u.index(), 1u);
    co_await stopper;
  });
}

TEST(select, a_list_made_at_run_time) {
  run_on(1, []() -> st::task<> {
    std::vector<st::chan<int>> channels;
    for (int i = 0; i < 100; ++i) channels.emplace_back(1);
    std::set<std::size_t> won;
    for (int i = 0; i < 100; ++i) co_await channels[static_cast<std::size_t>(i)].send(i);
    for (int round = 0; round < 100; ++round) {
      st::select_list list;
      for (auto& c : channels) list.add(c.recv());
      won.insert(co_await list);
    }
    EXPECT_EQ(won.size(), 100u);
    st::select_list list;
    auto& in = list.add(channels[0].recv());
    auto& out = list.add(channels[0].send(5));
    EXPECT_EQ(in.index(), 0u);
    const std::size_t winner = co_await list;
    EXPECT_EQ(winner, out.index());
    out.result();
    st::select_list poll;
    auto& nothing = poll.add(channels[1].recv());
    const std::size_t other = poll.add(st::otherwise);
    const std::size_t picked = co_await poll;
    EXPECT_EQ(picked, other);
    (void)nothing;
  });
}

TEST(select, a_cancelled_select_has_taken_nothing) {
  const auto program = []() -> st::task<> {
    st::chan<int> c(0), quiet(0);
    st::cancel_source source;
    int got = 0, cancelled = 0, sent = 0;
    auto reader = st::go([&]() -> st::task<> {
      for (int i = 0; i < 20; ++i) {
        bool again = false;
        try {
          auto s = co_await st::with_context(source, st::select{c.recv(), quiet.recv()});
          if (s.index() == 0) ++got;
        } catch (const st::cancelled&) {
          again = true;
        }
        if (!again) continue;
        ++cancelled;
        co_await st::yield();
      }
    });
    auto stopper = st::go([&]() -> st::task<> {
      for (int i = 0; i < 7; ++i) co_await st::yield();
      source.cancel();
    });
    for (int i = 0; i < 20; ++i) {
      auto s = co_await st::select{c.send(i), reader};
      if (s.index() == 1) break;
      ++sent;
    }
    co_await stopper;
    co_await reader;
    EXPECT_EQ(got, sent);
    EXPECT_EQ(got + cancelled, 20);
  };
  EXPECT_FALSE(st::sim::explore(1, scaled(2000), program));
}

TEST(select, two_goroutines_that_select_against_each_other_lose_and_double_nothing) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    run_on(workers, []() -> st::task<> {
      const int n = static_cast<int>(scaled(50'000));
      st::chan<int> a(0), b(0), done(0);
      std::atomic<long> sent{0}, received{0};
      const auto play = [&](int me) -> st::task<> {
        for (int i = 0; i < n; ++i) {
          auto s = co_await st::select{a.send(me), b.recv(), a.recv(), b.send(me), done.recv()};
          if (s.index() == 4) co_return;
          (s.index() == 0 || s.index() == 3 ? sent : received).fetch_add(1);
        }
      };
      auto one = st::go(play, 1), two = st::go(play, 2), three = st::go(play, 3);
      auto end = st::go([&]() -> st::task<> {  // whoever is left alone
        co_await st::sleep(20ms);
        done.close();
      });
      co_await end;
      co_await one;
      co_await two;
      co_await three;
      EXPECT_EQ(sent.load(), received.load());
    });
  }
}

}  // namespace
