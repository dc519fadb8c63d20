// Channels: what each operation does, when it waits, when a channel ends, and what a T may be.
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

// Conversions: from both directions to one, never back.
using both = st::chan<int>;
using tx_end = st::sender<int>;
using rx_end = st::receiver<int>;
static_assert(std::convertible_to<both, tx_end> && std::convertible_to<both, rx_end>);
static_assert(std::convertible_to<const both&, tx_end> && std::convertible_to<const both&, rx_end>);
static_assert(!std::constructible_from<both, tx_end> && !std::constructible_from<both, rx_end>);
static_assert(!std::constructible_from<tx_end, rx_end> && !std::constructible_from<rx_end, tx_end>);
static_assert(!std::convertible_to<std::size_t, both>);
static_assert(!std::constructible_from<st::sender<long>, both>);
template <class C>
concept can_send = requires(C c) { c.send(1); };
template <class C>
concept can_receive = requires(C c) { c.recv(); };
template <class C>
concept can_close = requires(C c) { c.close(); };
static_assert(can_send<both> && can_receive<both> && can_close<both>);
static_assert(can_send<tx_end> && !can_receive<tx_end> && can_close<tx_end>);
static_assert(!can_send<rx_end> && can_receive<rx_end> && !can_close<rx_end>);
static_assert(sizeof(both) == sizeof(void*) && std::is_nothrow_move_constructible_v<both>);

TEST(chan, a_rendezvous_ends_when_the_receiver_has_the_value) {
  std::vector<std::string> log;
  run_on(1, [&]() -> st::task<> {
    st::chan<int> c(0);
    EXPECT_EQ(c.cap(), 0u);
    auto h = st::go(
        [&](st::sender<int> tx) -> st::task<> {
          co_await tx.send(1);
          log.push_back("sent");
        },
        c);
    co_await settle();
    EXPECT_TRUE(log.empty());
    EXPECT_EQ(c.len(), 0u);
    auto v = co_await c.recv();
    log.push_back("received");
    co_await h;
    EXPECT_EQ(*v, 1);
  });
  EXPECT_EQ(log, (std::vector<std::string>{"received", "sent"}));
}

TEST(chan, a_buffer_takes_values_without_a_receiver_until_it_is_full) {
  run_on(1, [&]() -> st::task<> {
    st::chan<int> c(3);
    EXPECT_EQ(c.cap(), 3u);
    for (int i = 0; i < 3; ++i) {
      co_await c.send(i);
      EXPECT_EQ(c.len(), static_cast<std::size_t>(i + 1));
    }
    bool sent = false;
    auto h = st::go(
        [&](st::sender<int> tx) -> st::task<> {
          co_await tx.send(3);
          sent = true;
        },
        c);
    co_await settle();
    EXPECT_FALSE(sent);
    for (int i = 0; i < 4; ++i) {
      auto v = co_await c.recv();
      EXPECT_EQ(*v, i);
    }
    co_await h;
    EXPECT_EQ(c.len(), 0u);
  });
}

TEST(chan, a_nil_channel_is_never_ready) {
  st::chan<int> nil;
  EXPECT_FALSE(nil);
  EXPECT_EQ(nil.len(), 0u);
  EXPECT_EQ(nil.cap(), 0u);
  EXPECT_EQ(nil, st::sender<int>());
  EXPECT_EQ(nil.try_send(1), st::send_result::full);
  EXPECT_FALSE(nil.try_recv());
  EXPECT_FALSE(nil.try_recv().closed());
  EXPECT_THROW(nil.close(), st::channel_error);
  st::sim::run(1, [&]() -> st::task<> {
    int given_up = 0;
    try {
      co_await st::with_timeout(1h, nil.recv());
    } catch (const st::timed_out&) {
      ++given_up;
    }
    try {
      co_await st::with_timeout(1h, nil.send(1));
    } catch (const st::timed_out&) {
      ++given_up;
    }
    try {
      co_await st::with_timeout(1h, nil.recv_many(2));
    } catch (const st::timed_out&) {
      ++given_up;
    }
    std::vector<int> values{1, 2};
    try {
      co_await st::with_timeout(1h, nil.send_many(values));
    } catch (const st::timed_out&) {
      ++given_up;
    }
    try {
      auto d = co_await st::with_timeout(1h, nil.take());
      EXPECT_FALSE(d);
    } catch (const st::timed_out&) {
      ++given_up;
    }
    EXPECT_EQ(given_up, 5);
  });
}

TEST(chan, close_lets_values_out_first_and_then_is_an_end_for_ever) {
  run_on(2, [&]() -> st::task<> {
    st::chan<int> c(4);
    for (int i = 0; i < 3; ++i) co_await c.send(i);
    EXPECT_TRUE(c.close());
    EXPECT_FALSE(c.close());
    EXPECT_EQ(c.len(), 3u);
    EXPECT_EQ(c.try_send(9), st::send_result::closed);
    const auto got1 = co_await error_of(c.send(9));
    EXPECT_EQ(got1, st::channel_errc::closed);
    for (int i = 0; i < 3; ++i) {
      auto v = co_await c.recv();
      EXPECT_EQ(*v, i);
      EXPECT_FALSE(v.closed());
    }
    for (int i = 0; i < 3; ++i) {
      auto v = co_await c.recv();
      EXPECT_TRUE(!v && v.closed());
      EXPECT_TRUE(c.try_recv().closed());
    }
    auto many = co_await c.recv_many(8);
    EXPECT_TRUE(many.empty());
  });
}

TEST(chan, close_with_an_error_lets_values_out_first_and_is_no_end) {
  run_on(2, []() -> st::task<> {
    st::chan<int> c(4);
    for (int i = 0; i < 3; ++i) co_await c.send(i);
    EXPECT_TRUE(c.close("the disk is full"));
    EXPECT_FALSE(c.close());
    EXPECT_FALSE(c.close("too late"));
    const auto sending = co_await error_of(c.send(9));
    EXPECT_EQ(sending, st::channel_errc::failed);
    for (int i = 0; i < 3; ++i) {
      auto v = co_await c.recv();
      EXPECT_EQ(*v, i);
    }
    for (int i = 0; i < 2; ++i) {
      std::string error;
      try {
        auto v = co_await c.recv();
        ADD_FAILURE() << "an end, or a value: " << v.has_value();
      } catch (const st::failed& e) {
        error = e.what();
      }
      EXPECT_EQ(error, "the disk is full");
      EXPECT_THROW(c.try_recv(), st::failed);
    }
  });
}

TEST(chan, close_wakes_all_who_wait) {
  run_on(2, [&]() -> st::task<> {
    st::chan<int> in(0), out(0);
    std::vector<st::join_handle<bool>> receivers;
    std::vector<st::join_handle<st::channel_errc>> senders;
    for (int i = 0; i < 5; ++i) {
      receivers.push_back(st::go(
          [](st::chan<int> c) -> st::task<bool> {
            auto v = co_await c.recv();
            co_return v.closed();
          },
          in));
      senders.push_back(st::go(
          [](st::chan<int> c) -> st::task<st::channel_errc> {
            co_return co_await error_of(c.send(1));
          },
          out));
    }
    co_await settle();
    in.close();
    out.close();
    for (auto& h : receivers) {
      const auto got = co_await h;
      EXPECT_TRUE(got);
    }
    for (auto& h : senders) {
      const auto got = co_await h;
      EXPECT_EQ(got, st::channel_errc::closed);
    }
  });
}

// --- unbounded ----------------------------------------------------------------------------------

TEST(chan, an_unbounded_channel_takes_everything_at_once_and_in_order) {
  run_on(2, []() -> st::task<> {
    st::chan<counted> c(st::unbounded);
    EXPECT_EQ(c.cap(), SIZE_MAX);
    constexpr int n = 100'000;
    for (int i = 0; i < n; ++i) {
      if (i % 3 == 0) {
        co_await c.send(i);
      } else if (i % 3 == 1) {
        EXPECT_EQ(c.try_send(counted(i)), st::send_result::sent);
      } else {
        auto s = co_await st::select{c.send(i), st::otherwise};
        EXPECT_EQ(s.index(), 0u);
      }
    }
    EXPECT_EQ(c.len(), static_cast<std::size_t>(n));
    c.close();
    int next = 0;
    for (;;) {
      auto some = co_await c.recv_many(1000);
      if (some.empty()) break;
      for (const counted& v : some) EXPECT_EQ(v.value, next++);
    }
    EXPECT_EQ(next, n);
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST(chan, an_unbounded_channel_hands_over_directly_and_is_used_again_after_it_ran_empty) {
  run_on(2, []() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(st::unbounded);
    auto sum = st::go(
        [](st::receiver<int> in) -> st::task<long> {
          long total = 0;
          while (auto v = co_await in.recv()) total += *v;
          co_return total;
        },
        rx);
    long expected = 0;
    for (int burst : {1, 5000, 1, 2, 3000, 70}) {
      for (int i = 0; i < burst; ++i) co_await tx.send(i);
      expected += long{burst} * (burst - 1) / 2;
      while (rx.len() != 0) co_await st::yield();
    }
    tx.close();
    const long total = co_await sum;
    EXPECT_EQ(total, expected);
  });
}

// --- the last sender ----------------------------------------------------------------------------

st::task<int> count(st::receiver<int> rx) {
  int n = 0;
  while (auto v = co_await rx.recv()) ++n;
  co_return n;
}
st::task<> feed(st::sender<int> tx, int n) {
  for (int i = 0; i < n; ++i) co_await tx.send(i);
}

TEST(chan, the_last_sender_closes_by_leaving) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(2);
    auto copy = tx;
    auto n = st::go(count, rx);
    auto a = st::go(feed, tx, 10);
    auto b = st::go(feed, std::move(tx), 10);
    copy = {};  // a nil sender: that copy is gone
    const auto got4 = co_await n;
    EXPECT_EQ(got4, 20);
    co_await a;
    co_await b;
  });
}

TEST(chan, a_join_handle_that_is_held_keeps_no_sender) {
  run_on(1, [&]() -> st::task<> {
    st::chan<int> c(1);
    auto h = st::go(feed, c, 3);
    auto n = st::go(count, std::move(c));  // becomes a receiver: no third handle is left
    EXPECT_FALSE(c);
    const auto got5 = co_await n;
    EXPECT_EQ(got5, 3);
    co_await h;
  });
}

TEST(chan, captures_and_reference_parameters_are_gone_before_the_joiner_hears) {
  run_on(2, [&]() -> st::task<> {
    for (int i = 0; i < 200; ++i) {
      auto [tx, rx] = st::make_chan<int>(8);
      auto h = st::go([end = std::move(tx)]() -> st::task<> { co_await end.send(1); });
      co_await h;
      auto v = rx.try_recv();
      EXPECT_TRUE(v);
      EXPECT_TRUE(rx.try_recv().closed());

      auto [tx2, rx2] = st::make_chan<int>(8);
      auto by_reference = [](const st::sender<int>& s) -> st::task<> { co_await s.send(1); };
      co_await st::go(by_reference, std::move(tx2));
      EXPECT_TRUE(rx2.try_recv());
      EXPECT_TRUE(rx2.try_recv().closed());
    }
  });
}

TEST(chan, a_scope_whose_members_had_the_senders_ends_the_channel) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(100);
    auto body = [end = std::move(tx)](st::group& g) mutable -> st::task<> {
      for (int i = 0; i < 3; ++i) g.go(feed, end, 5);
      g.go(feed, std::move(end), 5);
      co_return;
    };
    co_await st::scope(std::move(body));
    const auto got6 = co_await count(rx);
    EXPECT_EQ(got6, 20);
  });
}

TEST(chan, moves_and_assignments_count_once) {
  auto [tx, rx] = st::make_chan<int>(4);
  st::sender<int> other = std::move(tx);
  EXPECT_FALSE(tx);
  EXPECT_EQ(other.try_send(1), st::send_result::sent);
  auto& self = other;
  other = self;
  EXPECT_EQ(other.try_send(2), st::send_result::sent);
  st::sender<int> third;
  third = other;
  other = st::sender<int>();
  EXPECT_EQ(third.try_send(3), st::send_result::sent);
  third = std::move(other);  // nil now: the last one left
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(*rx.try_recv(), i);
  EXPECT_TRUE(rx.try_recv().closed());
}

TEST(chan, without_a_receiver_a_send_throws_and_keeps_the_value) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<std::unique_ptr<int>>(1);
    EXPECT_EQ(tx.try_send(std::make_unique<int>(0)), st::send_result::sent);
    auto parked = st::go(
        [](st::sender<std::unique_ptr<int>> s) -> st::task<int> {
          auto p = std::make_unique<int>(7);
          const auto got7 = co_await error_of(s.send(std::move(p)));
          EXPECT_EQ(got7, st::channel_errc::no_receiver);
          co_return p ? *p : -1;
        },
        tx);
    co_await settle();
    rx = {};
    const auto got8 = co_await parked;
    EXPECT_EQ(got8, 7);
    auto p = std::make_unique<int>(8);
    const auto got9 = co_await error_of(tx.send(std::move(p)));
    EXPECT_EQ(got9, st::channel_errc::no_receiver);
    EXPECT_TRUE(p && *p == 8);
    EXPECT_EQ(tx.try_send(std::move(p)), st::send_result::closed);
    EXPECT_TRUE(p && *p == 8);
  });
}

TEST(chan, identity_is_the_channel_not_the_handle) {
  st::chan<int> a(1), b(1);
  const st::sender<int> tx = a;
  const st::receiver<int> rx = a;
  EXPECT_EQ(a, tx);
  EXPECT_EQ(rx, tx);
  EXPECT_NE(a, b);
  EXPECT_NE(b, rx);
  EXPECT_EQ(std::hash<st::chan<int>>()(a), std::hash<st::sender<int>>()(tx));
  std::unordered_set<st::receiver<int>> set{rx, a, b};
  EXPECT_EQ(set.size(), 2u);
}

TEST(chan, channels_travel_through_channels) {
  run_on(2, [&]() -> st::task<> {
    st::chan<st::sender<int>> calls(0);
    auto server = st::go(
        [](st::receiver<st::sender<int>> rx) -> st::task<> {
          int n = 0;
          while (auto reply = co_await rx.recv()) co_await reply->send(n++);
        },
        calls);
    for (int i = 0; i < 100; ++i) {
      auto [tx, rx] = st::make_chan<int>();
      co_await calls.send(std::move(tx));
      auto v = co_await rx.recv();
      EXPECT_EQ(*v, i);
      auto end = co_await rx.recv();
      EXPECT_TRUE(end.closed());
    }
    calls = {};
    co_await server;
  });
}

// --- the forms of send --------------------------------------------------------------------------

TEST(chan, a_send_of_an_lvalue_copies_it_when_it_is_called) {
  counted::copies = 0;
  run_on(1, [&]() -> st::task<> {
    st::chan<counted> c(2);
    const counted v(1);
    co_await c.send(v);
    EXPECT_EQ(counted::copies, 1);
    co_await c.send(2);  // built from the argument
    EXPECT_EQ(counted::copies, 1);
    counted w(3);
    auto first = co_await c.recv();
    co_await c.send(std::move(w));
    EXPECT_EQ(w.value, counted::moved_from);
    auto second = co_await c.recv();
    auto third = co_await c.recv();
    EXPECT_EQ(first->value, 1);
    EXPECT_EQ(second->value, 2);
    EXPECT_EQ(third->value, 3);
    EXPECT_EQ(counted::copies, 1);
    EXPECT_EQ(c.try_send(v), st::send_result::sent);
    EXPECT_EQ(counted::copies, 2);
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST(chan, a_send_that_did_not_happen_leaves_the_value) {
  st::sim::run(1, [&]() -> st::task<> {
    st::chan<std::unique_ptr<int>> c(0);
    auto p = std::make_unique<int>(5);
    try {
      co_await st::with_timeout(1s, c.send(std::move(p)));
      ADD_FAILURE() << "nobody receives";
    } catch (const st::timed_out&) {
    }
    EXPECT_TRUE(p && *p == 5);
    EXPECT_EQ(c.try_send(std::move(p)), st::send_result::full);
    EXPECT_TRUE(p && *p == 5);
    c.close();
    const auto got10 = co_await error_of(c.send(std::move(p)));
    EXPECT_EQ(got10, st::channel_errc::closed);
    EXPECT_TRUE(p && *p == 5);
  });
}

struct no_default {
  no_default(int a, std::string b) : first(a), second(std::move(b)) {}
  int first;
  std::string second;
};

TEST(chan, a_send_builds_the_value_from_its_arguments) {
  run_on(1, [&]() -> st::task<> {
    st::chan<no_default> c(1);
    co_await c.send(4, "four");
    auto v = co_await c.recv();
    EXPECT_EQ(v->first, 4);
    EXPECT_EQ(v->second, "four");
    auto end = c.try_recv();
    EXPECT_FALSE(end);
  });
}

struct pair_of_ints {
  int a, b;
};

TEST(chan, an_aggregate_is_built_from_its_members) {
  run_on(1, [&]() -> st::task<> {
    st::chan<pair_of_ints> c(1);
    co_await c.send(1, 2);
    auto v = co_await c.recv();
    EXPECT_EQ(v->a + v->b, 3);
  });
}

struct empty {};
struct large {
  std::array<int, 2000> values;
};

TEST(chan, a_value_may_be_empty_or_large) {
  run_on(2, [&]() -> st::task<> {
    st::chan<empty> nothing(1);
    co_await nothing.send(empty());
    auto e = co_await nothing.recv();
    EXPECT_TRUE(e);
    st::chan<large> c(0);
    auto h = st::go(
        [](st::sender<large> tx) -> st::task<> {
          auto v = std::make_unique<large>();
          for (int round = 0; round < 10; ++round) {
            std::iota(v->values.begin(), v->values.end(), round);
            co_await tx.send(*v);
          }
        },
        c);
    for (int round = 0; round < 10; ++round) {
      auto v = co_await c.recv();
      EXPECT_EQ(v->values.front(), round);
      EXPECT_EQ(v->values.back(), round + 1999);
    }
    co_await h;
  });
}

TEST(chan, what_is_left_in_a_channel_is_destroyed_with_it) {
  {
    auto [tx, rx] = st::make_chan<counted>(5);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(tx.try_send(counted(i)), st::send_result::sent);
    EXPECT_EQ(rx.try_recv()->value, 0);
    EXPECT_EQ(tx.try_send(counted(4)), st::send_result::sent);
    EXPECT_EQ(counted::alive, 4);
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(chan, a_capacity_beyond_memory_is_refused) {
  EXPECT_THROW(st::chan<int>(static_cast<std::size_t>(-1)), std::length_error);
  EXPECT_THROW(st::make_chan<large>(SIZE_MAX / 16), std::length_error);
}

}  // namespace
