// Many goroutines, channels of several capacities, every way to send and to receive, time-outs and
// cancellations at any moment, on several workers: each value that was sent arrives once, and none
// that was not.
#include <strait/strait.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;

/// A value that a second move, or a use after its end, betrays.
struct item {
  explicit item(std::uint64_t n = 0) : id(n), twin(std::make_unique<std::uint64_t>(n)) {}
  std::uint64_t id;
  std::unique_ptr<std::uint64_t> twin;
};

class ledger {
 public:
  explicit ledger(std::size_t n) : sent_(n), got_(n) {}

  void sent(std::uint64_t id) { sent_[id].fetch_add(1, std::memory_order_relaxed); }
  void got(const item& i) {
    ASSERT_TRUE(i.twin) << "a value that was moved from arrived";
    ASSERT_EQ(*i.twin, i.id);
    got_[i.id].fetch_add(1, std::memory_order_relaxed);
  }
  void balance() const {
    std::size_t arrived = 0;
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      const int sent = sent_[i].load(), got = got_[i].load();
      arrived += static_cast<std::size_t>(got);
      if (sent != got || sent > 1) {
        ADD_FAILURE() << "value " << i << " was sent " << sent << " times and arrived " << got;
      }
    }
    EXPECT_GT(arrived, sent_.size() / 4);  // most go through
  }

 private:
  std::vector<std::atomic<int>> sent_, got_;
};

struct dice {
  explicit dice(std::uint64_t seed) : state(seed * 2654435769u + 1) {}
  std::uint64_t below(std::uint64_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
  }
  std::uint64_t state;
};

/// Awaits `op` while somebody else cancels it. Empty: it was cancelled, and so had no effect.
template <class Op>
st::task<std::optional<st::detail::value_or_unit<st::detail::awaited_t<Op>>>> harried(
    std::uint64_t delay, Op&& op) {
  using T = st::detail::awaited_t<Op>;
  std::optional<st::detail::value_or_unit<T>> out;
  st::cancel_source source;
  auto killer = st::go([&source, delay]() -> st::task<> {
    for (std::uint64_t i = 0; i < delay; ++i) co_await st::yield();
    source.cancel();
  });
  try {
    if constexpr (std::is_void_v<T>) {
      co_await st::with_context(source, std::forward<Op>(op));
      out.emplace();
    } else {
      auto v = co_await st::with_context(source, std::forward<Op>(op));
      out.emplace(std::move(v));
    }
  } catch (const st::cancelled&) {
  }
  co_await killer;
  co_return out;
}

constexpr std::size_t lanes = 4;
using channels = std::array<st::chan<item>, lanes>;

st::task<> produce(const channels& to, ledger& book, std::uint64_t from, std::uint64_t n) {
  dice d(from + 1);
  for (std::uint64_t id = from; id < from + n; ++id) {
    const st::chan<item>& c = to[d.below(lanes)];
    const st::chan<item>& other = to[d.below(lanes)];
    item v(id);
    bool sent = true;
    switch (d.below(9)) {
      case 0: co_await c.send(std::move(v)); break;
      case 1: co_await c.send(id); break;
      case 2: sent = c.try_send(std::move(v)) == st::send_result::sent; break;
      case 3:
        try {
          co_await st::with_timeout(std::chrono::microseconds(d.below(40)), c.send(std::move(v)));
        } catch (const st::timed_out&) {
          sent = false;
        }
        break;
      case 4: {
        auto s = co_await st::select{c.send(std::move(v)), other.send(std::move(v))};
        (void)s;
        break;
      }
      case 5: {
        auto s = co_await st::select{c.send(std::move(v)), st::otherwise};
        sent = s.index() == 0;
        break;
      }
      case 6: {
        auto s = co_await st::select{st::after(std::chrono::microseconds(d.below(40))),
                                     c.send(std::move(v)), other.send(id)};
        sent = s.index() != 0;
        break;
      }
      case 7: {
        auto done = co_await harried(d.below(4), c.send(std::move(v)));
        sent = done.has_value();
        break;
      }
      default: {
        std::vector<item> some;
        const std::uint64_t most = std::min<std::uint64_t>(1 + d.below(6), from + n - id);
        for (std::uint64_t k = 0; k < most; ++k) some.emplace_back(id + k);
        co_await c.send_many(std::span<item>(some));
        for (std::uint64_t k = 0; k < most; ++k) book.sent(id + k);
        id += most - 1;
        continue;
      }
    }
    if (sent) {
      book.sent(id);
    } else if (v.twin) {
      EXPECT_EQ(*v.twin, v.id);  // still ours, whole
    }
  }
}

st::task<> consume(channels from, ledger& book, std::uint64_t seed) {
  dice d(seed);
  std::size_t open = lanes;
  const auto take_in = [&](st::chan<item>& c, auto& r) {
    if (r) {
      book.got(*r);
    } else {
      c = st::chan<item>();  // ended: never ready again
      --open;
    }
  };
  while (open != 0) {
    st::chan<item>* c = &from[d.below(lanes)];
    while (!*c) c = &from[d.below(lanes)];
    st::chan<item>& a = from[d.below(lanes)];
    switch (d.below(8)) {
      case 0: {  // the only wait without an end of its own: for whatever comes
        auto s =
            co_await st::select{from[0].recv(), from[1].recv(), from[2].recv(), from[3].recv()};
        if (s.index() == 0) take_in(from[0], s.get<0>());
        if (s.index() == 1) take_in(from[1], s.get<1>());
        if (s.index() == 2) take_in(from[2], s.get<2>());
        if (s.index() == 3) take_in(from[3], s.get<3>());
        break;
      }
      case 1: {
        auto r = c->try_recv();
        if (r) {
          book.got(*r);
        } else {
          if (r.closed()) take_in(*c, r);
          co_await st::yield();
        }
        break;
      }
      case 2: {
        auto s =
            co_await st::select{c->recv_many(5), st::after(std::chrono::microseconds(d.below(40)))};
        if (s.index() == 1) break;
        for (item& i : s.get<0>()) book.got(i);
        break;
      }
      case 3:
        try {
          auto r = co_await st::with_timeout(std::chrono::microseconds(d.below(40)), c->recv());
          take_in(*c, r);
        } catch (const st::timed_out&) {
        }
        break;
      case 4: {
        auto s = co_await st::select{a.recv(), c->recv(), st::otherwise};
        if (s.index() == 0) take_in(a, s.get<0>());
        if (s.index() == 1) take_in(*c, s.get<1>());
        if (s.index() == 2) co_await st::yield();
        break;
      }
      case 5: {
        auto r = co_await harried(d.below(4), c->recv());
        if (r) take_in(*c, *r);
        break;
      }
      case 6: {
        auto s = co_await st::select{c->take(), st::after(std::chrono::microseconds(d.below(40)))};
        if (s.index() == 1 || !s.get<0>()) break;
        auto job = std::move(s.get<0>());
        if (d.below(3) == 0) break;  // goes back, for somebody else
        book.got(*job);
        EXPECT_TRUE(job.ack());
        break;
      }
      default: {
        auto r = co_await harried(d.below(4), c->take());
        if (!r || !*r) break;
        auto job = std::move(*r);
        if (d.below(3) == 0) {
          job.give_back();
          break;
        }
        book.got(*job);
        EXPECT_TRUE(job.ack());
      }
    }
  }
}

st::task<> trade(std::uint64_t producers, std::uint64_t consumers, std::uint64_t each) {
  ledger book(producers * each);
  channels c{st::chan<item>(0), st::chan<item>(1), st::chan<item>(7), st::chan<item>(64)};
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (std::uint64_t i = 0; i < consumers; ++i) g.go(consume, c, std::ref(book), i + 99);
    co_await st::scope([&](st::group& senders) -> st::task<> {
      for (std::uint64_t i = 0; i < producers; ++i) {
        senders.go(produce, std::ref(c), std::ref(book), i * each, each);
      }
      co_return;
    });
    for (auto& one : c) one.close();
  });
  book.balance();
}

TEST(StressValues, EachArrivesOnce) {
  for (unsigned workers : {1u, 2u, 4u}) {
    SCOPED_TRACE(workers);
    st::run(st::runtime_options().workers(workers), trade, 12, 9, strait_test::scaled(6000));
  }
}

TEST(StressValues, ManyProducersOneConsumer) {
  st::run(st::runtime_options().workers(4), trade, 64, 1, strait_test::scaled(600));
}

TEST(StressValues, OneProducerManyConsumers) {
  st::run(st::runtime_options().workers(4), trade, 1, 64, strait_test::scaled(20000));
}

// A ring in which everybody offers to the right and takes from the left in one select: no token is
// lost or doubled, also when the wait is cancelled in the middle.
st::task<> pass_on(st::chan<item> in, st::chan<item> out, st::receiver<int> quit,
                   std::deque<item>& mine, std::uint64_t seed, std::atomic<std::uint64_t>& moves) {
  dice d(seed);
  for (;;) {
    st::chan<item> to = mine.empty() ? st::chan<item>() : out;
    item none;
    item& front = mine.empty() ? none : mine.front();
    const auto turn = [&]() -> st::task<int> {
      auto s = co_await st::select{to.send(std::move(front)), in.recv(), quit.recv()};
      if (s.index() == 0) mine.pop_front();
      if (s.index() == 1) mine.push_back(std::move(*s.get<1>()));
      co_return static_cast<int>(s.index());
    };
    std::optional<int> did;
    if (d.below(8) == 0) {
      did = co_await harried(d.below(3), turn());
    } else {
      did = co_await turn();
    }
    if (did == 2) co_return;
    if (did) moves.fetch_add(1, std::memory_order_relaxed);
  }
}

TEST(StressValues, TokensInARing) {
  for (unsigned workers : {1u, 4u}) {
    SCOPED_TRACE(workers);
    st::run(st::runtime_options().workers(workers), []() -> st::task<> {
      constexpr std::size_t places = 16, tokens = 40;
      std::vector<st::chan<item>> ring;
      for (std::size_t i = 0; i < places; ++i) ring.emplace_back(i % 3 == 0 ? 2u : 0u);
      std::vector<std::deque<item>> held(places);
      for (std::size_t i = 0; i < tokens; ++i) held[i % places].emplace_back(i);
      auto [stop, quit] = st::make_chan<int>(0);
      std::atomic<std::uint64_t> moves{0};
      const std::uint64_t enough = strait_test::scaled(200'000);
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (std::size_t i = 0; i < places; ++i) {
          g.go(pass_on, ring[i], ring[(i + 1) % places], quit, std::ref(held[i]), i + 7,
               std::ref(moves));
        }
        while (moves < enough) co_await st::sleep(100us);
        stop.close();
      });
      std::vector<int> seen(tokens, 0);
      for (auto& place : held) {
        for (item& t : place) ++seen[*t.twin];
      }
      for (auto& c : ring) {
        while (auto t = c.try_recv()) ++seen[*t->twin];
      }
      EXPECT_EQ(seen, std::vector<int>(tokens, 1));
    });
  }
}

TEST(StressValues, PlainThreadsAndGoroutines) {
  st::run(st::runtime_options().workers(2), []() -> st::task<> {
    constexpr std::uint64_t threads = 3;
    const std::uint64_t each = strait_test::scaled(4000);
    ledger book(threads * each);
    auto [tx, rx] = st::make_chan<item>(3);
    auto [tx2, rx2] = st::make_chan<item>(0);
    st::outside_work busy;
    std::vector<std::thread> crowd;
    for (std::uint64_t t = 0; t < threads; ++t) {
      crowd.emplace_back([&book, each, t, one = tx, two = tx2] {
        for (std::uint64_t id = t * each; id < (t + 1) * each; ++id) {
          item v(id);
          if (id % 3 == 0) {
            st::wait(one.send(std::move(v)));
          } else if (id % 3 == 1) {
            auto s = st::wait(st::select{one.send(std::move(v)), two.send(std::move(v))});
            (void)s;
          } else if (two.try_send(std::move(v)) != st::send_result::sent) {
            continue;
          }
          book.sent(id);
        }
      });
    }
    crowd.emplace_back([&book, from = rx2] {
      while (auto v = st::wait(from.recv())) book.got(*v);
    });
    tx = st::sender<item>();
    tx2 = st::sender<item>();
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 3; ++i) {
        g.go(
            [](st::receiver<item> a, st::receiver<item> b, ledger& l) -> st::task<> {
              while (a || b) {
                auto s = co_await st::select{a.recv(), b.recv()};
                if (s.index() == 0) {
                  if (auto& v = s.get<0>()) {
                    l.got(*v);
                  } else {
                    a = st::receiver<item>();
                  }
                } else if (auto& v = s.get<1>()) {
                  l.got(*v);
                } else {
                  b = st::receiver<item>();
                }
              }
            },
            rx, rx2, std::ref(book));
      }
      co_return;
    });
    for (auto& t : crowd) t.join();
    book.balance();
  });
}

}  // namespace
