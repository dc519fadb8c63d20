// Programs of Go's test folder about channels, by name: ken/chan is ken_chan.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <strait/strait.hpp>

#include "local.hpp"
#include "support.hpp"

namespace st = strait;
using strait_test::run_on;
using strait_test::scaled;
using strait_test::settle;

namespace {

constexpr std::array worker_counts{1u, 4u};

// --- ken/chan -----------------------------------------------------------------------------------

/// What all lanes of a run have carried.
struct tally {
  std::atomic<int> sent{0}, received{0};
};

constexpr int per_lane = 76;

/// The ends of a channel that carries `per_lane` values in sequence, and are nil after the last.
struct source {
  st::sender<int> to;
  int next = 0, end = 0;

  void sent(tally& all) {
    ++all.sent;
    if (++next == end) to = {};
  }
};
struct drain {
  st::receiver<int> from;
  int expected = 0, end = 0;

  void received(tally& all, const st::received<int>& v) {
    ++all.received;
    EXPECT_TRUE(v && *v == expected) << "instead of " << expected;
    if (++expected == end) from = {};
  }
};

class lanes {
 public:
  lanes(std::size_t count, std::size_t capacity) {
    for (std::size_t i = 0; i < count; ++i) {
      auto [tx, rx] = st::make_chan<int>(capacity);
      const int first = static_cast<int>(i + 1) * 100;
      sources_.push_back({std::move(tx), first, first + per_lane});
      drains_.push_back({std::move(rx), first, first + per_lane});
    }
  }
  source in(std::size_t i) { return std::exchange(sources_[i], {}); }
  drain out(std::size_t i) { return std::exchange(drains_[i], {}); }
  std::array<source, 4> four_in(std::size_t i) { return {in(i), in(i + 1), in(i + 2), in(i + 3)}; }
  std::array<drain, 4> four_out(std::size_t i) {
    return {out(i), out(i + 1), out(i + 2), out(i + 3)};
  }

 private:
  std::vector<source> sources_;
  std::vector<drain> drains_;
};

/// Lets others run up to nine times: the partners meet in ever other states.
class jitter {
 public:
  explicit jitter(int seed) : random_(static_cast<std::uint32_t>(seed)) {}
  st::task<> operator()() {
    for (auto n = random_() % 10; n > 0; --n) co_await st::yield();
  }

 private:
  std::minstd_rand random_;
};

st::task<> send_all(source s, tally& all) {
  jitter wait(s.next);
  while (s.to) {
    co_await wait();
    co_await s.to.send(s.next);
    s.sent(all);
  }
}

st::task<> receive_all(drain d, tally& all) {
  jitter wait(d.expected + 1);
  while (d.from) {
    co_await wait();
    auto v = co_await d.from.recv();
    d.received(all, v);
  }
}

st::task<> select_all(std::array<drain, 4> d, std::array<source, 4> s, tally& all) {
  jitter wait(d[0].expected + s[0].next + 2);
  const auto runs = [](const auto& end) {
    if constexpr (requires { end.to; }) {
      return static_cast<bool>(end.to);
    } else {
      return static_cast<bool>(end.from);
    }
  };
  while (std::any_of(d.begin(), d.end(), runs) || std::any_of(s.begin(), s.end(), runs)) {
    co_await wait();
    auto won = co_await st::select{d[0].from.recv(),        d[1].from.recv(),
                                   d[2].from.recv(),        d[3].from.recv(),
                                   s[0].to.send(s[0].next), s[1].to.send(s[1].next),
                                   s[2].to.send(s[2].next), s[3].to.send(s[3].next)};
    switch (won.index()) {
      case 0: d[0].received(all, won.get<0>()); break;
      case 1: d[1].received(all, won.get<1>()); break;
      case 2: d[2].received(all, won.get<2>()); break;
      case 3: d[3].received(all, won.get<3>()); break;
      default: s[won.index() - 4].sent(all);
    }
  }
}

using pairing = void (*)(st::group& g, std::size_t capacity, tally& all);
constexpr std::array<pairing, 6> pairings{
    // Plain sends to plain receives.
    [](st::group& g, std::size_t capacity, tally& all) {
      lanes l(4, capacity);
      for (std::size_t i = 0; i < 4; ++i) {
        g.go(send_all, l.in(i), std::ref(all));
        g.go(receive_all, l.out(i), std::ref(all));
      }
    },
    // Plain sends to a select.
    [](st::group& g, std::size_t capacity, tally& all) {
      lanes l(4, capacity);
      for (std::size_t i = 0; i < 4; ++i) g.go(send_all, l.in(i), std::ref(all));
      g.go(select_all, l.four_out(0), std::array<source, 4>(), std::ref(all));
    },
    // A select to plain receives.
    [](st::group& g, std::size_t capacity, tally& all) {
      lanes l(4, capacity);
      for (std::size_t i = 0; i < 4; ++i) g.go(receive_all, l.out(i), std::ref(all));
      g.go(select_all, std::array<drain, 4>(), l.four_in(0), std::ref(all));
    },
    // A select that sends to one that receives.
    [](st::group& g, std::size_t capacity, tally& all) {
      lanes l(4, capacity);
      g.go(select_all, std::array<drain, 4>(), l.four_in(0), std::ref(all));
      g.go(select_all, l.four_out(0), std::array<source, 4>(), std::ref(all));
    },
    // Two selects that send to and receive from each other.
    [](st::group& g, std::size_t capacity, tally& all) {
      lanes l(8, capacity);
      g.go(select_all, l.four_out(4), l.four_in(0), std::ref(all));
      g.go(select_all, l.four_out(0), l.four_in(4), std::ref(all));
    },
    // Plain sends, a select to a select, plain receives.
    [](st::group& g, std::size_t capacity, tally& all) {
      lanes l(12, capacity);
      for (std::size_t i = 4; i < 8; ++i) g.go(send_all, l.in(i), std::ref(all));
      for (std::size_t i = 8; i < 12; ++i) g.go(receive_all, l.out(i), std::ref(all));
      g.go(select_all, l.four_out(4), l.four_in(0), std::ref(all));
      g.go(select_all, l.four_out(0), l.four_in(8), std::ref(all));
    },
};

// Plain and selected sends meet plain and selected receives, with four sizes of buffer: every lane
// keeps its order, and 10 944 values are sent and received exactly.
TEST(GoPrograms, ken_chan) {
  for (const unsigned workers : worker_counts) {
    tally all;
    run_on(workers, [&]() -> st::task<> {
      for (const std::size_t capacity : {0u, 1u, 10u, 100u}) {
        for (const pairing start : pairings) {
          co_await st::scope([&](st::group& g) -> st::task<> {
            start(g, capacity, all);
            co_return;
          });
        }
      }
    });
    EXPECT_EQ(all.sent.load(), 10'944);
    EXPECT_EQ(all.received.load(), 10'944);
  }
}

// --- ken/chan1 ----------------------------------------------------------------------------------

// One sender and ten receivers on a channel of two: each of 1000 values is seen exactly once.
TEST(GoPrograms, ken_chan1) {
  constexpr std::size_t values = 1000, readers = 10;
  for (const unsigned workers : worker_counts) {
    std::array<std::atomic<int>, values> seen{};
    run_on(workers, [&]() -> st::task<> {
      co_await st::scope([&](st::group& g) -> st::task<> {
        auto [tx, rx] = st::make_chan<std::size_t>(2);
        for (std::size_t me = 0; me < readers; ++me) {
          g.go(
              [&](st::receiver<std::size_t> from) -> st::task<> {
                while (auto v = co_await from.recv()) ++seen[*v];
              },
              rx);
        }
        for (std::size_t i = 0; i < values; ++i) {
          auto s = co_await st::select{tx.send(i)};
          EXPECT_EQ(s.index(), 0u);
        }
      });
    });
    for (std::size_t i = 0; i < values; ++i) EXPECT_EQ(seen[i].load(), 1) << i;
  }
}

// --- chancap ------------------------------------------------------------------------------------

// The length counts what waits, the capacity is what was asked for, and a capacity that is negative
// or too large is refused.
TEST(GoPrograms, chancap) {
  run_on(1, []() -> st::task<> {
    st::chan<std::int64_t> c(10);
    EXPECT_EQ(c.len(), 0u);
    EXPECT_EQ(c.cap(), 10u);
    for (int i = 0; i < 3; ++i) co_await c.send(i);
    EXPECT_EQ(c.len(), 3u);
    EXPECT_EQ(c.cap(), 10u);
    const st::sender<std::int64_t> tx = c;
    const st::receiver<std::int64_t> rx = c;
    EXPECT_EQ(tx.len(), 3u);
    EXPECT_EQ(rx.cap(), 10u);

    const st::chan<std::int64_t> rendezvous(0), nil;
    EXPECT_EQ(rendezvous.len(), 0u);
    EXPECT_EQ(rendezvous.cap(), 0u);
    EXPECT_EQ(nil.len(), 0u);
    EXPECT_EQ(nil.cap(), 0u);
  });

  using large = std::array<char, 1000>;
  for (const auto negative :
       {std::int64_t{-1}, std::int64_t{std::numeric_limits<std::int32_t>::min()},
        std::numeric_limits<std::int64_t>::min()}) {
    const auto size = static_cast<std::size_t>(negative);
    EXPECT_THROW(st::chan<std::int64_t>{size}, std::length_error) << negative;
    EXPECT_THROW(st::chan<char>{size}, std::length_error) << negative;
    EXPECT_THROW(st::make_chan<large>(size), std::length_error) << negative;
  }
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / sizeof(large)}) {
    EXPECT_THROW(st::chan<large>{size}, std::length_error) << size;
    EXPECT_THROW(st::make_chan<std::int64_t>(size), std::length_error) << size;
  }
}

// --- chanlinear ---------------------------------------------------------------------------------

constexpr int rounds = 4;

/// Waits for its own channel, and as one of many for a common one.
st::task<> wait_among_many(st::receiver<int> common, st::receiver<int> own) {
  for (int i = 0; i < rounds; ++i) {
    auto s = co_await st::select{common.recv(), own.recv()};
    EXPECT_EQ(s.index(), 1u);
  }
}

/// How long it takes to wake `n` goroutines, one after the other, that wait in one common queue.
std::chrono::duration<double> time_to_dequeue(std::size_t n) {
  std::chrono::duration<double> took{};
  run_on(1, [&]() -> st::task<> {
    st::chan<int> common(0);
    std::vector<st::chan<int>> own;
    std::vector<st::join_handle<>> waiting;
    for (std::size_t i = 0; i < n; ++i) {
      own.emplace_back(0);
      waiting.push_back(st::go(wait_among_many, common, own.back()));
    }
    co_await settle();
    const auto start = std::chrono::steady_clock::now();
    for (int round = 0; round < rounds; ++round) {
      // From both ends in turn: a search from either would show.
      for (std::size_t i = 0; i < n; ++i) co_await own[round % 2 == 0 ? i : n - 1 - i].send(1);
    }
    for (auto& h : waiting) co_await h;
    took = std::chrono::steady_clock::now() - start;
  });
  return took;
}

// To take a select out of the queues of the cases that lost costs the same however many wait there:
// eight times as many take some eight times as long, not sixty-four times.
TEST(GoPrograms, chanlinear) {
  const std::size_t few = scaled(2000), many = 8 * few;
  double ratio = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {  // against the noise of a busy machine
    auto few_took = time_to_dequeue(few), many_took = time_to_dequeue(many);
    for (int i = 0; i < 2; ++i) {
      few_took = std::min(few_took, time_to_dequeue(few));
      many_took = std::min(many_took, time_to_dequeue(many));
    }
    ratio = many_took / few_took;
    if (ratio < 24) return;
  }
  ADD_FAILURE() << "eight times as many took " << ratio << " times as long";
}

// --- closedchan ---------------------------------------------------------------------------------

/// The operations in three styles. `try_recv` gives nothing_yet, `try_send` false, where the
/// default case was taken.
struct plainly {
  static st::task<st::received<int>> recv(st::chan<int> c) { co_return co_await c.recv(); }
  static st::task<st::received<int>> try_recv(st::chan<int> c) { co_return c.try_recv(); }
  static st::task<> send(st::chan<int> c, int v) { co_await c.send(v); }
  static st::task<bool> try_send(st::chan<int> c, int v) {
    const st::send_result r = c.try_send(v);
    if (r == st::send_result::closed) throw st::closed();
    co_return r == st::send_result::sent;
  }
};
struct by_select {
  static st::task<st::received<int>> recv(st::chan<int> c) {
    auto s = co_await st::select{c.recv()};
    co_return std::move(s.get<0>());
  }
  static st::task<st::received<int>> try_recv(st::chan<int> c) {
    auto s = co_await st::select{c.recv(), st::otherwise};
    if (s.index() == 1) co_return st::received<int>::nothing_yet();
    co_return std::move(s.get<0>());
  }
  static st::task<> send(st::chan<int> c, int v) { co_await st::select{c.send(v)}; }
  static st::task<bool> try_send(st::chan<int> c, int v) {
    auto s = co_await st::select{c.send(v), st::otherwise};
    co_return s.index() == 0;
  }
};
struct by_select_among_others {
  static st::task<st::received<int>> recv(st::chan<int> c) {
    st::chan<int> never(0);
    auto s = co_await st::select{never.recv(), c.recv()};
    co_return std::move(s.get<1>());
  }
  static st::task<st::received<int>> try_recv(st::chan<int> c) {
    st::chan<int> never(0);
    auto s = co_await st::select{c.recv(), st::otherwise, never.recv()};
    if (s.index() == 1) co_return st::received<int>::nothing_yet();
    co_return std::move(s.get<0>());
  }
  static st::task<> send(st::chan<int> c, int v) {
    st::chan<int> never(0);
    auto s = co_await st::select{never.recv(), c.send(v)};
    EXPECT_EQ(s.index(), 1u);
  }
  static st::task<bool> try_send(st::chan<int> c, int v) {
    st::chan<int> never(0);
    auto s = co_await st::select{c.send(v), never.send(v), st::otherwise};
    co_return s.index() == 0;
  }
};

/// All operations on `c`, closed and drained, and again.
template <class Style>
st::task<> expect_closed(st::chan<int> c) {
  for (int i = 0; i < 3; ++i) {
    const auto v = co_await Style::recv(c);
    EXPECT_TRUE(v.closed());
    const auto now = co_await Style::try_recv(c);
    EXPECT_TRUE(now.closed()) << "a closed channel is ready: the default case must not run";
    const auto sent = co_await st::as_result(Style::send(c, 2));
    EXPECT_THROW(std::rethrow_exception(sent.error()), st::closed);
    const auto sent_now = co_await st::as_result(Style::try_send(c, 2));
    EXPECT_THROW(std::rethrow_exception(sent_now.error()), st::closed);
    EXPECT_FALSE(c.close()) << "not the first time";
    EXPECT_EQ(c.len(), 0u);
  }
}

template <class Style>
st::task<> closedchan() {
  st::chan<int> rendezvous(0);
  const auto nothing = co_await Style::try_recv(rendezvous);
  EXPECT_TRUE(!nothing && !nothing.closed());
  const bool sent = co_await Style::try_send(rendezvous, 1);
  EXPECT_FALSE(sent);
  EXPECT_TRUE(rendezvous.close());
  co_await expect_closed<Style>(rendezvous);

  for (const bool by_try : {false, true}) {
    st::chan<int> buffered(2);
    co_await Style::send(buffered, 1);
    EXPECT_TRUE(buffered.close());
    EXPECT_EQ(buffered.len(), 1u);
    st::received<int> v;
    if (by_try) v = co_await Style::try_recv(buffered);
    if (!by_try) v = co_await Style::recv(buffered);
    EXPECT_TRUE(v && *v == 1) << "what was sent before the close comes out";
    co_await expect_closed<Style>(buffered);
  }
}

// All operations on closed channels, plain, in a select and in a select with others: values come
// out first, then receives give the end and sends throw. To close nil throws; to close twice is
// told from the first time.
TEST(GoPrograms, closedchan) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, closedchan<plainly>);
    run_on(workers, closedchan<by_select>);
    run_on(workers, closedchan<by_select_among_others>);
  }
  const st::chan<int> nil;
  EXPECT_THROW(nil.close(), st::channel_error);
  EXPECT_THROW(st::sender<int>().close(), st::channel_error);
}

// --- sieve --------------------------------------------------------------------------------------

// Who is cancelled leaves; a neighbour that hears of the cancellation later may find it gone.

st::task<> generate(st::sender<int> out) {
  try {
    for (int i = 2;; ++i) co_await out.send(i);
  } catch (const st::closed&) {
  }
}

st::task<> filter(st::receiver<int> in, st::sender<int> out, int prime) {
  try {
    while (auto i = co_await in.recv()) {
      if (*i % prime != 0) co_await out.send(*i);
    }
  } catch (const st::closed&) {
  }
}

st::task<> sieve(st::sender<int> primes) {
  auto [numbers, in] = st::make_chan<int>();
  st::go(generate, std::move(numbers));
  while (auto prime = co_await in.recv()) {
    co_await primes.send(*prime);
    auto [filtered, next] = st::make_chan<int>();
    st::go(filter, std::move(in), std::move(filtered), *prime);
    in = std::move(next);
  }
}

// The sieve without an end. Go only compiles it; here it runs until it is cancelled, from where its
// goroutines were started to the last of them.
TEST(GoPrograms, sieve) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      st::chan<int> primes(0);
      st::cancel_source source;
      st::go(
          [](const st::cancel_source& until, st::sender<int> out) -> st::task<> {
            co_await st::with_context(until, sieve(std::move(out)));
          },
          std::cref(source), primes);
      int last = 0;
      for (int i = 0; i < 100; ++i) {
        auto p = co_await primes.recv();
        last = *p;
      }
      EXPECT_EQ(last, 541) << "the hundredth prime";
      source.cancel();
      while (st::live_goroutines() > 1) co_await st::yield();
    });
  }
}

// --- typeparam/chans ----------------------------------------------------------------------------

/// All values until the channel ends.
template <class T>
st::task<std::vector<T>> read_all(st::receiver<T> c) {
  std::vector<T> all;
  while (auto v = co_await c.recv()) all.push_back(*std::move(v));
  co_return all;
}

/// The values of two channels as they come.
template <class T>
st::receiver<T> merge(st::receiver<T> a, st::receiver<T> b) {
  auto [in, out] = st::make_chan<T>();
  st::go(
      [](st::receiver<T> x, st::receiver<T> y, st::sender<T> to) -> st::task<> {
        while (x || y) {
          auto s = co_await st::select{x.recv(), y.recv()};
          auto& v = s.index() == 0 ? s.template get<0>() : s.template get<1>();
          if (v) {
            co_await to.send(*std::move(v));
          } else {
            (s.index() == 0 ? x : y) = {};
          }
        }
      },
      std::move(a), std::move(b), std::move(in));
  return std::move(out);
}

/// Those of which `keep` is true.
template <class T, class F>
st::receiver<T> filtered(st::receiver<T> c, F keep) {
  auto [in, out] = st::make_chan<T>();
  st::go(
      [](st::receiver<T> from, st::sender<T> to, F f) -> st::task<> {
        while (auto v = co_await from.recv()) {
          if (f(*v)) co_await to.send(*std::move(v));
        }
      },
      std::move(c), std::move(in), std::move(keep));
  return std::move(out);
}

/// A channel that swallows all.
template <class T>
st::sender<T> sink() {
  auto [in, out] = st::make_chan<T>();
  st::go(
      [](st::receiver<T> from) -> st::task<> {
        while (auto v = co_await from.recv()) {
        }
      },
      std::move(out));
  return std::move(in);
}

/// A value that one at a time may have.
template <class T>
class exclusive {
 public:
  explicit exclusive(T v) : room_(1) { release(std::move(v)); }
  st::task<T> acquire() {
    auto v = co_await room_.recv();
    co_return *std::move(v);
  }
  std::optional<T> try_acquire() {
    auto v = room_.try_recv();
    if (!v) return std::nullopt;
    return *std::move(v);
  }
  void release(T v) {
    if (room_.try_send(std::move(v)) != st::send_result::sent) {
      throw std::logic_error("released twice");
    }
  }

 private:
  st::chan<T> room_;
};

template <class T>
st::receiver<T> channel_of(const std::vector<T>& values) {
  st::chan<T> c(values.size());
  for (const T& v : values) c.try_send(v);
  return c;  // the last sender goes: this is all
}

/// Runs `test` in a goroutine that is cancelled, and says whether it ended by it.
template <class F>
st::task<bool> ends_cancelled(F test) {
  st::cancel_source source;
  source.cancel();
  try {
    co_await st::with_context(source, test());
  } catch (const st::cancelled&) {
    co_return true;
  }
  co_return false;
}

// Generic channel helpers. Those of Go take a context each; here it is the goroutine's.
TEST(GoPrograms, typeparam_chans_ReadAll) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      const std::vector<int> values{4, 2, 5};
      const auto got = co_await read_all(channel_of(values));
      EXPECT_EQ(got, values);
      st::chan<int> quiet(0);
      const bool ended =
          co_await ends_cancelled([&]() -> st::task<> { co_await read_all<int>(quiet); });
      EXPECT_TRUE(ended);
    });
  }
}

// Merge gives what is in either channel, and ends after both.
TEST(GoPrograms, typeparam_chans_Merge) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      const std::vector<int> odd{1, 3, 5}, even{2, 4, 6};
      const auto got = co_await read_all(merge(channel_of(odd), channel_of(even)));
      std::vector<int> odd_got, even_got;  // each in its own order
      for (const int v : got) (v % 2 != 0 ? odd_got : even_got).push_back(v);
      EXPECT_EQ(odd_got, odd);
      EXPECT_EQ(even_got, even);
    });
  }
}

// Filter gives those values that its function wants, in order.
TEST(GoPrograms, typeparam_chans_Filter) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      const std::vector<int> values{1, 2, 3}, even{2};
      const auto got =
          co_await read_all(filtered(channel_of(values), [](int v) { return v % 2 == 0; }));
      EXPECT_EQ(got, even);
    });
  }
}

// Sink takes all that is sent to it, and ends with its channel.
TEST(GoPrograms, typeparam_chans_Sink) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      auto c = sink<int>();
      for (int i = 0; i < 4; ++i) co_await c.send(i);
      c = {};
      while (st::live_goroutines() > 1) co_await st::yield();
    });
  }
}

// Exclusive hands its value to one at a time: a count that is no atomic comes out right.
TEST(GoPrograms, typeparam_chans_Exclusive) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      exclusive<int> ex(0);
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int i = 0; i < 10; ++i) {
          g.go([&]() -> st::task<> {
            for (int k = 0; k < 10; ++k) {
              const int v = co_await ex.acquire();
              co_await st::yield();  // the others wait meanwhile
              ex.release(v + 1);
            }
          });
        }
        co_return;
      });
      const int total = co_await ex.acquire();
      EXPECT_EQ(total, 100);
      const bool ended = co_await ends_cancelled([&]() -> st::task<> { co_await ex.acquire(); });
      EXPECT_TRUE(ended);
      ex.release(total);
      EXPECT_THROW(ex.release(total), std::logic_error);
    });
  }
}

// TryExclusive takes the value only if nobody has it.
TEST(GoPrograms, typeparam_chans_TryExclusive) {
  run_on(1, []() -> st::task<> {
    exclusive<std::string> ex("value");
    auto first = ex.try_acquire();
    EXPECT_EQ(first, "value");
    EXPECT_FALSE(ex.try_acquire());
    auto other = st::go([&]() -> st::task<std::string> { co_return co_await ex.acquire(); });
    co_await settle();
    EXPECT_FALSE(other.done());
    ex.release(*std::move(first));
    const auto got = co_await other;
    EXPECT_EQ(got, "value");
    EXPECT_FALSE(ex.try_acquire());
    co_return;
  });
}

// Ranger: a receiver that leaves ends its sender, a sender that leaves its receiver. Here that is
// what any channel does.
TEST(GoPrograms, typeparam_chans_Ranger) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      auto [sender, ranger] = st::make_chan<int>();
      auto sent = st::go(
          [](st::sender<int> to) -> st::task<int> {
            int n = 0;
            for (;;) {
              const auto s = co_await st::as_result(to.send(n));
              if (!s) co_return n;
              ++n;
            }
          },
          std::move(sender));
      for (int i = 0; i < 2; ++i) {
        auto v = co_await ranger.recv();
        EXPECT_EQ(*v, i);
      }
      ranger = {};
      const int count = co_await sent;
      EXPECT_EQ(count, 2);

      auto [short_sender, short_ranger] = st::make_chan<int>();
      st::go([](st::sender<int> to) -> st::task<> { co_await to.send(7); },
             std::move(short_sender));
      const auto all = co_await read_all(std::move(short_ranger));
      EXPECT_EQ(all, std::vector<int>(1, 7));

      st::chan<int> quiet(0);
      const bool ended = co_await ends_cancelled([&]() -> st::task<> { co_await quiet.send(1); });
      EXPECT_TRUE(ended);
    });
  }
}

// Left out: peano, which shows how deep a stack of Go can grow.

}  // namespace
