// Go's test/chan programs, by name. Where Go's program leaves goroutines behind when it ends, ours
// shows that they end: a send that nobody wants any more throws, and that goes from hand to hand.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <strait/sim.hpp>
#include <strait/strait.hpp>

#include "local.hpp"
#include "support.hpp"

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;
using strait_test::settle;

namespace {

constexpr std::array worker_counts{1u, 4u};

// --- doubleselect -------------------------------------------------------------------------------

st::task<> send_anywhere(int n, std::array<st::sender<int>, 4> to) {
  for (int i = 0; i < n; ++i) {
    co_await st::select{to[0].send(i), to[1].send(i), to[2].send(i), to[3].send(i)};
  }
  for (auto& c : to) c.close();
}

st::task<> mux(st::sender<int> out, st::receiver<int> in) {
  while (auto v = co_await in.recv()) co_await out.send(*v);
}

// A sender that selects over four channels at a time sends no value twice, and none is lost.
TEST(GoChan, doubleselect) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      const int n = static_cast<int>(scaled(100'000));
      std::array<st::chan<int>, 4> c;
      for (auto& one : c) one = st::chan<int>(0);
      auto [merged_in, merged] = st::make_chan<int>();
      for (auto& one : c) st::go(mux, merged_in, one);
      merged_in = {};  // so that `merged` ends with the last mux
      std::array<st::sender<int>, 4> to{c[0], c[1], c[2], c[3]};
      st::go(send_anywhere, n, std::move(to));

      std::vector<bool> seen(static_cast<std::size_t>(n));
      int count = 0;
      while (auto v = co_await merged.recv()) {
        const auto at = static_cast<std::size_t>(*v);
        EXPECT_FALSE(seen[at]) << "got " << *v << " twice";
        seen[at] = true;
        ++count;
      }
      EXPECT_EQ(count, n);
    });
  }
}

// --- fifo ---------------------------------------------------------------------------------------

/// Waits for its turn, takes what must be `expected`, and passes the turn on.
st::task<> take_in_turn(st::receiver<int> values, int expected, st::receiver<int> turn,
                        st::sender<int> next_turn) {
  co_await turn.recv();
  auto v = co_await values.recv();
  EXPECT_EQ(*v, expected);
  co_await next_turn.send(1);
}

// A channel keeps the order: a buffered one by itself, a rendezvous through a chain of ten.
TEST(GoChan, fifo) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      constexpr int n = 10;
      st::chan<int> buffered(n);
      for (int i = 0; i < n; ++i) co_await buffered.send(i);
      for (int i = 0; i < n; ++i) {
        auto v = co_await buffered.recv();
        EXPECT_EQ(*v, i);
      }

      st::chan<int> values(0);
      auto [start, turn] = st::make_chan<int>();
      for (int i = 0; i < n; ++i) {
        auto [next_in, next] = st::make_chan<int>();
        st::go(take_in_turn, values, i, std::move(turn), std::move(next_in));
        turn = std::move(next);
      }
      co_await start.send(0);
      for (int i = 0; i < n; ++i) co_await values.send(i);
      auto last = co_await turn.recv();
      EXPECT_TRUE(last);
    });
  }
}

// --- goroutines ---------------------------------------------------------------------------------

st::task<> pass_left(st::sender<int> left, st::receiver<int> right) {
  auto v = co_await right.recv();
  co_await left.send(*v + 1);
}

// 10 000 goroutines in a chain pass one token from the right end to the left, and all end.
TEST(GoChan, goroutines) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      const int n = static_cast<int>(scaled(10'000));
      std::vector<st::join_handle<>> all;
      auto [left, leftmost] = st::make_chan<int>();
      for (int i = 0; i < n; ++i) {
        auto [in, right] = st::make_chan<int>();
        all.push_back(st::go(pass_left, std::move(left), std::move(right)));
        left = std::move(in);
      }
      co_await left.send(0);
      auto token = co_await leftmost.recv();
      EXPECT_EQ(*token, n);
      for (auto& h : all) co_await h;
    });
  }
}

// --- nonblock -----------------------------------------------------------------------------------

constexpr int patience = 1'000'000;  // attempts, each with a yield, for a partner to come

template <class T>
st::task<> nonblock(std::size_t capacity, T first, T second) {
  st::chan<T> c(capacity);
  auto none = co_await st::select{c.recv(), st::otherwise};
  EXPECT_EQ(none.index(), 1u) << "received from an empty channel";
  for (std::size_t i = 0; i < capacity; ++i) co_await c.send(second);
  auto full = co_await st::select{c.send(first), st::otherwise};
  EXPECT_EQ(full.index(), 1u) << "sent without a receiver or room";
  for (std::size_t i = 0; i < capacity; ++i) {
    auto v = co_await c.recv();
    EXPECT_EQ(*v, second);
  }

  auto reader = st::go(
      [](st::receiver<T> from) -> st::task<T> {
        auto v = co_await from.recv();
        co_return *std::move(v);
      },
      c);
  bool sent = false;
  for (int i = 0; !sent && i < patience; ++i) {
    auto s = co_await st::select{c.send(first), st::otherwise};
    sent = s.index() == 0;
    if (!sent) co_await st::yield();
  }
  EXPECT_TRUE(sent) << "no send to a receiver that waits";
  const T got = co_await reader;
  EXPECT_EQ(got, first);

  auto writer = st::go([](st::sender<T> to, T v) -> st::task<> { co_await to.send(std::move(v)); },
                       c, second);
  bool received = false;
  for (int i = 0; !received && i < patience; ++i) {
    auto s = co_await st::select{c.recv(), st::otherwise};
    received = s.index() == 0;
    if (received) {
      EXPECT_EQ(*s.template get<0>(), second);
    } else {
      co_await st::yield();
    }
  }
  EXPECT_TRUE(received) << "no value from a sender that waits";
  co_await writer;
  EXPECT_EQ(c.len(), 0u);
}

// With a default case send and receive fail before there is a partner and succeed after, with the
// right value.
TEST(GoChan, nonblock) {
  for (const unsigned workers : worker_counts) {
    for (const std::size_t capacity : {0u, 1u}) {
      run_on(workers, nonblock<std::int32_t>, capacity, 123, 234);
      run_on(workers, nonblock<std::int64_t>, capacity, 123456, 234567);
      run_on(workers, nonblock<bool>, capacity, true, false);
      run_on(workers, nonblock<std::string>, capacity, std::string("hello"),
             std::string("a value that is too long to be held in place"));
    }
  }
}

// --- powser1 and powser2 ------------------------------------------------------------------------

/// A coefficient in lowest terms; the end of a finite series has the denominator 0.
class rational {
 public:
  rational(std::int64_t n = 0, std::int64_t d = 1) {  // NOLINT: implicit, for the integers
    const std::int64_t g = std::gcd(n, d) * (d < 0 ? -1 : 1);
    num_ = n / g;
    den_ = d / g;
  }
  static rational end() {
    rational r;
    r.den_ = 0;
    return r;
  }
  bool is_end() const { return den_ == 0; }
  bool is_zero() const { return num_ == 0 && den_ != 0; }
  rational inverse() const { return {den_, num_}; }

  friend bool operator==(const rational&, const rational&) = default;
  friend rational operator+(rational a, rational b) {
    const std::int64_t g = std::gcd(a.den_, b.den_);
    return {a.num_ * (b.den_ / g) + b.num_ * (a.den_ / g), a.den_ / g * b.den_};
  }
  friend rational operator*(rational a, rational b) {
    const std::int64_t g = std::gcd(a.num_, b.den_), h = std::gcd(b.num_, a.den_);
    return {(a.num_ / g) * (b.num_ / h), (a.den_ / h) * (b.den_ / g)};
  }
  friend rational operator-(rational a) { return a * rational(-1); }
  friend std::ostream& operator<<(std::ostream& out, rational r) {
    return out << r.num_ << '/' << r.den_;
  }

 private:
  std::int64_t num_, den_;
};

struct held_by_value {
  using item = rational;
  static item make(rational r) { return r; }
  static rational look(const item& i) { return i; }
};

struct term {
  virtual ~term() = default;
  virtual rational value() const = 0;
};
struct coefficient final : term {
  explicit coefficient(rational r) : r_(r) {}
  rational value() const override { return r_; }

 private:
  rational r_;
};
struct end_of_series final : term {
  rational value() const override { return rational::end(); }
};

struct held_by_pointer {
  using item = std::unique_ptr<const term>;
  static item make(rational r) {
    if (r.is_end()) return std::make_unique<end_of_series>();
    return std::make_unique<coefficient>(r);
  }
  static rational look(const item& i) { return i->value(); }
};

/// Power series as networks of goroutines, after McIlroy's "Squinting at Power Series": a series
/// gives its next coefficient when it is asked for it. `Kind` says how coefficients travel.
template <class Kind>
struct power {
  using item = typename Kind::item;
  /// The consumer's end.
  struct series {
    st::sender<int> ask;
    st::receiver<item> out;
  };
  /// The producer's end.
  struct outlet {
    st::receiver<int> asked;
    st::sender<item> in;
  };
  struct demand {
    series consumer;
    outlet producer;
  };
  struct fork {
    series first, second;
  };

  static demand make_demand() {
    auto [ask, asked] = st::make_chan<int>();
    auto [in, out] = st::make_chan<item>();
    return {{std::move(ask), std::move(out)}, {std::move(asked), std::move(in)}};
  }

  // Whoever uses a series or an outlet whose other end has left throws `closed`, and leaves by it.

  static rational looked_at(const st::received<item>& v) {
    if (!v) throw st::closed();
    return Kind::look(*v);
  }
  static st::task<rational> get(const series& u) {
    co_await u.ask.send(0);
    auto v = co_await u.out.recv();
    co_return looked_at(v);
  }
  /// One of each, in whichever order they come.
  static st::task<std::pair<rational, rational>> get2(const series& u, const series& v) {
    st::sender<int> ask_u = u.ask, ask_v = v.ask;
    st::receiver<item> from_u, from_v;
    rational a, b;
    for (int left = 4; left > 0; --left) {
      auto s = co_await st::select{ask_u.send(0), ask_v.send(0), from_u.recv(), from_v.recv()};
      switch (s.index()) {
        case 0:
          ask_u = {};
          from_u = u.out;
          break;
        case 1:
          ask_v = {};
          from_v = v.out;
          break;
        case 2:
          a = looked_at(s.template get<2>());
          from_u = {};
          break;
        default: b = looked_at(s.template get<3>()); from_v = {};
      }
    }
    co_return std::pair(a, b);
  }
  static st::task<> demanded(const outlet& z) {
    auto d = co_await z.asked.recv();
    if (!d) throw st::closed(st::channel_errc::no_receiver);
  }
  static st::task<> give(const outlet& z, rational r) {
    auto i = Kind::make(r);
    co_await z.in.send(std::move(i));
  }
  static st::task<> put(const outlet& z, rational r) {
    co_await demanded(z);
    co_await give(z, r);
  }
  static st::task<> copy(const series& u, const outlet& z) {
    for (bool more = true; more;) {
      co_await demanded(z);
      const rational r = co_await get(u);
      co_await give(z, r);
      more = !r.is_end();
    }
  }

  template <class Body>
  static st::task<> serve(Body body, outlet z) {
    try {
      co_await body(z);
    } catch (const st::closed&) {
    }
  }
  /// The series that `body(outlet)` makes, in a goroutine that ends when nobody asks any more.
  template <class Body>
  static series make(Body body) {
    demand d = make_demand();
    st::go(serve<Body>, std::move(body), std::move(d.producer));
    return std::move(d.consumer);
  }

  /// One coefficient for two consumers. The side that asks first gets it at once and may run ahead,
  /// served by the next stage; the other is this stage's to serve until it has it, too. `before` is
  /// the stage before: it ends when that one has served both.
  static st::task<> split_stage(series in, outlet lead, outlet lag, st::receiver<int> before) {
    try {
      st::receiver<int> lag_asked = before ? st::receiver<int>() : lag.asked;
      for (bool asked = false; !asked;) {
        if (!lead.asked && !lag_asked && !before) co_return;  // both have left
        auto s = co_await st::select{lead.asked.recv(), lag_asked.recv(), before.recv()};
        switch (s.index()) {
          case 0:
            asked = s.template get<0>().has_value();
            if (!asked) lead.asked = {};
            break;
          case 1:
            asked = s.template get<1>().has_value();
            lag_asked = {};
            if (asked) {
              std::swap(lead, lag);
            } else {
              lag.asked = {};
            }
            break;
          default: before = {}; lag_asked = lag.asked;
        }
      }
      co_await in.ask.send(0);
      auto [running, ended] = st::make_chan<int>();
      st::go(split_stage, in, lead, lag, std::move(ended));
      auto v = co_await in.out.recv();
      const rational r = looked_at(v);
      co_await give(lead, r);
      if (before) co_await before.recv();
      if (lag.asked) co_await put(lag, r);
    } catch (const st::closed&) {
    }
  }
  static void split_to(series in, outlet a, outlet b) {
    st::go(split_stage, std::move(in), std::move(a), std::move(b), st::receiver<int>());
  }
  static fork split(series u) {
    demand a = make_demand(), b = make_demand();
    split_to(std::move(u), std::move(a.producer), std::move(b.producer));
    return {std::move(a.consumer), std::move(b.consumer)};
  }
  /// The series z = f(z).
  template <class F>
  static series fixed_point(F f) {
    demand a = make_demand(), b = make_demand();
    split_to(f(std::move(a.consumer)), std::move(a.producer), std::move(b.producer));
    return std::move(b.consumer);
  }

  /// c + c x + c x^2 ...
  static series repeat(rational c) {
    return make([c](const outlet& z) -> st::task<> {
      for (;;) co_await put(z, c);
    });
  }
  static series polynomial(std::vector<rational> cs) {
    return make([cs = std::move(cs)](const outlet& z) -> st::task<> {
      for (const rational c : cs) co_await put(z, c);
      co_await put(z, rational::end());
    });
  }
  /// (1 + x)^c
  static series binomial(rational c) {
    return make([c](const outlet& z) -> st::task<> {
      rational t = 1, left = c;
      for (int n = 1; !t.is_zero(); ++n) {
        co_await put(z, t);
        t = t * left * rational(1, n);
        left = left + rational(-1);
      }
      co_await put(z, rational::end());
    });
  }
  /// Maps the n-th coefficient to f(n, c).
  template <class F>
  static series map(series u, F f) {
    return make([u = std::move(u), f](const outlet& z) -> st::task<> {
      for (int n = 0;; ++n) {
        co_await demanded(z);
        const rational r = co_await get(u);
        const rational mapped = r.is_end() ? r : f(n, r);
        co_await give(z, mapped);
        if (r.is_end()) co_return;
      }
    });
  }
  static series scale(rational c, series u) {
    return map(std::move(u), [c](int, rational r) { return c * r; });
  }
  static series add(series u, series v) {
    return make([u = std::move(u), v = std::move(v)](const outlet& z) -> st::task<> {
      for (;;) {
        co_await demanded(z);
        const auto [a, b] = co_await get2(u, v);
        const rational sum = a.is_end() ? b : b.is_end() ? a : a + b;
        co_await give(z, sum);
        if (sum.is_end()) co_return;
        if (a.is_end()) co_await copy(v, z);
        if (b.is_end()) co_await copy(u, z);
        if (a.is_end() || b.is_end()) co_return;
      }
    });
  }
  static series subtract(series u, series v) { return add(std::move(u), scale(-1, std::move(v))); }
  /// c + x u
  static series shift(rational c, series u) {
    return make([c, u = std::move(u)](const outlet& z) -> st::task<> {
      co_await put(z, c);
      co_await copy(u, z);
    });
  }
  /// (u - u(0)) / x
  static series tail(series u) {
    return make([u = std::move(u)](const outlet& z) -> st::task<> {
      co_await demanded(z);
      const rational first = co_await get(u);
      rational second = first;
      if (!first.is_end()) second = co_await get(u);
      co_await give(z, second);
      if (!second.is_end()) co_await copy(u, z);
    });
  }
  static series differentiate(series u) {
    return map(tail(std::move(u)), [](int n, rational r) { return rational(n + 1) * r; });
  }
  static series integrate(rational c, series u) {
    return shift(c, map(std::move(u), [](int n, rational r) { return rational(1, n + 1) * r; }));
  }
  /// With u = a + x U and v = b + x V: a b + x (a V + b U) + x^2 U V.
  static series multiply(series u, series v) {
    return make([u = std::move(u), v = std::move(v)](const outlet& z) -> st::task<> {
      co_await demanded(z);
      const auto [a, b] = co_await get2(u, v);
      if (a.is_end() || b.is_end()) {
        co_await give(z, rational::end());
        co_return;
      }
      co_await give(z, a * b);
      const fork uu = split(u), vv = split(v);
      const series w = add(scale(a, vv.first), scale(b, uu.first));
      co_await demanded(z);
      const rational next = co_await get(w);
      co_await give(z, next);
      if (next.is_end()) co_return;
      const series rest = add(w, multiply(uu.second, vv.second));
      co_await copy(rest, z);
    });
  }
  /// z = 1 / u: with u = a + x U and z = 1 / a + x Z, Z = -1 / a U z.
  static series reciprocal(series u) {
    return make([u = std::move(u)](const outlet& z) -> st::task<> {
      co_await demanded(z);
      const rational a = co_await get(u);
      const rational first = a.inverse();
      co_await give(z, first);
      const series rest = fixed_point(
          [&](series whole) { return multiply(scale(-first, u), shift(first, std::move(whole))); });
      co_await copy(rest, z);
    });
  }
  /// e^(u - u(0)): z' = z u'
  static series exponential(series u) {
    return fixed_point([&](series z) {
      return integrate(1, multiply(std::move(z), differentiate(std::move(u))));
    });
  }
  /// u(v), where v(0) = 0: with u = a + x U and v = x V, a + x V U(v).
  static series substitute(series u, series v) {
    return make([u = std::move(u), v = std::move(v)](const outlet& z) -> st::task<> {
      co_await demanded(z);
      const rational a = co_await get(u);
      co_await give(z, a);
      if (a.is_end()) co_return;
      const fork vv = split(v);
      const rational zero = co_await get(vv.first);
      EXPECT_TRUE(zero.is_zero());
      const series rest = multiply(vv.first, substitute(u, vv.second));
      co_await copy(rest, z);
    });
  }
  /// u(c x^n)
  static series substitute_monomial(series u, rational c, int n) {
    return make([u = std::move(u), c, n](const outlet& z) -> st::task<> {
      rational factor = 1;
      for (;;) {
        co_await demanded(z);
        const rational r = co_await get(u);
        const rational scaled_up = r.is_end() ? r : factor * r;
        co_await give(z, scaled_up);
        if (r.is_end()) co_return;
        factor = factor * c;
        for (int i = 1; i < n; ++i) co_await put(z, 0);
      }
    });
  }
  /// The z with u(z) = x, where u = x U: z = x / U(z).
  static series revert(series u) {
    return fixed_point([&](series z) {
      return shift(0, reciprocal(substitute(tail(std::move(u)), std::move(z))));
    });
  }

  /// The first `n` coefficients, or all that there are.
  static st::task<std::vector<rational>> take(const series& u, std::size_t n) {
    std::vector<rational> got;
    while (got.size() < n) {
      const rational r = co_await get(u);
      got.push_back(r);
      if (r.is_end()) break;
    }
    co_return got;
  }

  struct check {
    const char* what;
    std::function<series()> make;
    std::vector<rational> expected;
    bool cyclic = false;
  };
  static std::vector<check> checks() {
    const auto ones = [] { return repeat(1); };
    const auto twos = [] { return add(repeat(1), repeat(1)); };
    const auto quotient = [](std::int64_t n, std::int64_t d) { return rational(n, d); };
    const rational end = rational::end();
    // The derivative of the arc tangent is 1 / (1 + x^2).
    const auto arctan = [=] { return integrate(0, substitute_monomial(ones(), -1, 2)); };
    return {
        {"1 / (1 - x)", ones, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
        {"ones + ones", twos, {2, 2, 2, 2, 2, 2, 2, 2, 2, 2}},
        {"ones + twos", [=] { return add(ones(), twos()); }, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3}},
        {"a finite and an endless one",
         [=] { return add(polynomial({4, 5}), ones()); },
         {5, 6, 1, 1, 1}},
        {"two finite ones",
         [=] { return add(polynomial({4, 5}), polynomial({1, 0, 7})); },
         {5, 5, 7, end}},
        {"derivative of ones", [=] { return differentiate(ones()); }, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {"integral of ones",
         [=] { return integrate(0, ones()); },
         {0, 1, quotient(1, 2), quotient(1, 3), quotient(1, 4), quotient(1, 5), quotient(1, 6)}},
        {"-1 twos", [=] { return scale(-1, twos()); }, {-2, -2, -2, -2, -2, -2, -2, -2, -2, -2}},
        {"ones - twos", [=] { return subtract(ones(), twos()); }, {-1, -1, -1, -1, -1, -1, -1}},
        {"ones squared", [=] { return multiply(ones(), ones()); }, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
        {"(1 + 2 x) (3 + x^2)",
         [=] { return multiply(polynomial({1, 2}), polynomial({3, 0, 1})); },
         {3, 6, 1, 2, end}},
        {"(1 - x) ones",
         [=] { return multiply(polynomial({1, -1}), ones()); },
         {1, 0, 0, 0, 0, 0, 0, 0}},
        {"(1 + x)^3", [=] { return binomial(3); }, {1, 3, 3, 1, end}},
        {"(1 + x)^(1/2)",
         [=] { return binomial(quotient(1, 2)); },
         {1, quotient(1, 2), quotient(-1, 8), quotient(1, 16), quotient(-5, 128)}},
        {"ones(x + x^2)",
         [=] { return substitute(ones(), polynomial({0, 1, 1})); },
         {1, 1, 2, 3, 5, 8, 13, 21, 34, 55}},
        {"arc tangent",
         arctan,
         {0, 1, 0, quotient(-1, 3), 0, quotient(1, 5), 0, quotient(-1, 7), 0, quotient(1, 9)}},
        {"1 / (1 - x - x^2)",
         [=] { return reciprocal(polynomial({1, -1, -1})); },
         {1, 1, 2, 3, 5, 8, 13, 21, 34, 55},
         true},
        {"e^ones",
         [=] { return exponential(ones()); },
         {1, 1, quotient(3, 2), quotient(13, 6), quotient(73, 24), quotient(167, 40),
          quotient(4051, 720), quotient(37633, 5040), quotient(43817, 4480),
          quotient(4596553, 362880)},
         true},
        {"tangent",
         [=] { return revert(arctan()); },
         {0, 1, 0, quotient(1, 3), 0, quotient(2, 15), 0, quotient(17, 315), 0, quotient(62, 2835)},
         true},
    };
  }

  static void program() {
    for (const unsigned workers : worker_counts) {
      const std::vector<check> all = checks();
      run_on(workers, [&]() -> st::task<> {
        for (const check& c : all) {
          {
            const series u = c.make();
            const auto got = co_await take(u, c.expected.size());
            EXPECT_EQ(got, c.expected) << c.what;
          }
          // The network ends when its last consumer leaves, unless it consumes itself: the end of
          // the run ends that. (The cyclic ones come last.)
          while (!c.cyclic && st::live_goroutines() > 1) co_await st::yield();
        }
      });
    }
  }
};

// Arithmetic of power series over demand channels gives the exact rational coefficients.
TEST(GoChan, powser1) { power<held_by_value>::program(); }

// The same with polymorphic coefficients, each in memory of its own.
TEST(GoChan, powser2) { power<held_by_pointer>::program(); }

// --- select -------------------------------------------------------------------------------------

// A finished case is made nil; what the cases would send is evaluated every time, chosen or not.
TEST(GoChan, select) {
  run_on(1, []() -> st::task<> {
    int evaluated = 0;
    unsigned bit = 1;
    const auto value = [&] {
      ++evaluated;
      return bit;
    };
    const auto send = [&](st::sender<unsigned> a, st::sender<unsigned> b) -> st::task<int> {
      for (int sent = 0;; ++sent) {
        auto s = co_await st::select{a.send(value()), b.send(value()), st::otherwise};
        if (s.index() == 0) a = {};
        if (s.index() == 1) b = {};
        if (s.index() == 2) co_return sent;
        bit <<= 1;
      }
    };
    st::chan<unsigned> a(1), b(1);
    const int both = co_await send(a, b);
    EXPECT_EQ(both, 2);
    auto from_a = co_await a.recv();
    auto from_b = co_await b.recv();
    EXPECT_EQ(*from_a | *from_b, 3u);
    const st::sender<unsigned> nil;
    const int one = co_await send(a, nil);
    EXPECT_EQ(one, 1);
    auto last = co_await a.recv();
    EXPECT_EQ(*last, 4u);
    EXPECT_EQ(evaluated, 10);
  });
}

// --- select2 ------------------------------------------------------------------------------------

/// Bytes of the heap in use. A sanitizer has a heap of its own, which reports leaks by itself.
std::int64_t heap_bytes() {
  const auto all = ::mallinfo2();
  return static_cast<std::int64_t>(all.uordblks + all.hblkhd);
}

// 100 000 selects, with a case that is never ready, leave nothing behind.
TEST(GoChan, select2) {
  run_on(1, []() -> st::task<> {
    const int n = static_cast<int>(scaled(100'000));
    st::chan<int> c(0), dummy(0);
    const auto sender = [n](st::sender<int> to) -> st::task<> {
      for (int i = 0; i < n; ++i) co_await to.send(1);
    };
    const auto round = [&]() -> st::task<> {
      auto h = st::go(sender, c);
      for (int i = 0; i < n; ++i) {
        auto s = co_await st::select{c.recv(), dummy.recv()};
        EXPECT_EQ(s.index(), 0u);
      }
      co_await h;
    };
    co_await round();
    const std::int64_t before = heap_bytes();
    const std::int64_t frames_before = st::detail::pool_live();
    co_await round();
    EXPECT_LT(heap_bytes() - before, 110'000);
    EXPECT_EQ(st::detail::pool_live(), frames_before);
  });
}

// --- select3 ------------------------------------------------------------------------------------

enum class fate { goes_on, waits, throws_closed };

std::ostream& operator<<(std::ostream& out, fate f) {
  return out << (f == fate::goes_on ? "goes on" : f == fate::waits ? "waits" : "throws closed");
}

/// What becomes of `f`, a coroutine. In a simulation a day is over the moment nothing can go on.
template <class F>
st::task<fate> fate_of(F f) {
  try {
    co_await st::with_timeout(24h, f());
    co_return fate::goes_on;
  } catch (const st::timed_out&) {
    co_return fate::waits;
  } catch (const st::closed&) {
    co_return fate::throws_closed;
  }
}

template <class F>
st::task<> expect(fate expected, const char* what, F f) {
  const fate got = co_await fate_of(f);
  EXPECT_EQ(got, expected) << what;
}

// Which operations and selects wait, which go on and which fail: nil, closed, full, empty,
// with and without default, and on a channel itself.
TEST(GoChan, select3) {
  constexpr fate waits = fate::waits, goes_on = fate::goes_on, throws = fate::throws_closed;
  for (int seed = 1; seed <= 10; ++seed) {
    st::sim::run(seed, []() -> st::task<> {
      st::chan<int> nil, shut(0);
      shut.close();

      co_await expect(waits, "send to nil", [&]() -> st::task<> { co_await nil.send(7); });
      co_await expect(waits, "receive of nil", [&]() -> st::task<> { co_await nil.recv(); });
      co_await expect(throws, "send to closed", [&]() -> st::task<> { co_await shut.send(7); });
      co_await expect(goes_on, "receive of closed", [&]() -> st::task<> {
        auto v = co_await shut.recv();
        EXPECT_TRUE(v.closed());
      });

      co_await expect(goes_on, "nil with default", [&]() -> st::task<> {
        auto r = co_await st::select{nil.recv(), st::otherwise};
        EXPECT_EQ(r.index(), 1u);
        auto s = co_await st::select{nil.send(7), st::otherwise};
        EXPECT_EQ(s.index(), 1u);
      });

      st::chan<int> rendezvous(0);
      co_await expect(waits, "send to a rendezvous",
                      [&]() -> st::task<> { co_await rendezvous.send(7); });
      co_await expect(waits, "receive of a rendezvous",
                      [&]() -> st::task<> { co_await rendezvous.recv(); });
      co_await expect(goes_on, "a rendezvous with default", [&]() -> st::task<> {
        auto r = co_await st::select{rendezvous.recv(), st::otherwise};
        EXPECT_EQ(r.index(), 1u);
        auto s = co_await st::select{rendezvous.send(7), st::otherwise};
        EXPECT_EQ(s.index(), 1u);
      });

      st::chan<int> buffered(10);
      co_await expect(waits, "receive of empty", [&]() -> st::task<> { co_await buffered.recv(); });
      co_await expect(goes_on, "send to room", [&]() -> st::task<> { co_await buffered.send(7); });
      co_await expect(goes_on, "receive of one", [&]() -> st::task<> { co_await buffered.recv(); });
      co_await expect(goes_on, "room with default", [&]() -> st::task<> {
        auto r = co_await st::select{buffered.recv(), st::otherwise};
        EXPECT_EQ(r.index(), 1u);
        auto s = co_await st::select{buffered.send(7), st::otherwise};
        EXPECT_EQ(s.index(), 0u);
      });
      for (int i = 1; i < 10; ++i) co_await buffered.send(i);
      co_await expect(waits, "send to full", [&]() -> st::task<> { co_await buffered.send(7); });
      co_await expect(goes_on, "full with default", [&]() -> st::task<> {
        auto s = co_await st::select{buffered.send(7), st::otherwise};
        EXPECT_EQ(s.index(), 1u);
        auto r = co_await st::select{buffered.recv(), st::otherwise};
        EXPECT_EQ(r.index(), 0u);
        co_await buffered.send(7);
      });

      co_await expect(waits, "select without a case", []() -> st::task<> {
        st::select_list none;
        co_await none;
      });
      co_await expect(goes_on, "select with default alone", []() -> st::task<> {
        auto s = co_await st::select{st::otherwise};
        EXPECT_EQ(s.index(), 0u);
      });
      co_await expect(waits, "select of nil",
                      [&]() -> st::task<> { co_await st::select{nil.recv(), nil.send(7)}; });
      co_await expect(goes_on, "select of nil with default", [&]() -> st::task<> {
        auto s = co_await st::select{nil.recv(), nil.send(7), st::otherwise};
        EXPECT_EQ(s.index(), 2u);
      });
      co_await expect(waits, "select of nil and full",
                      [&]() -> st::task<> { co_await st::select{nil.recv(), buffered.send(7)}; });
      co_await expect(waits, "select of a rendezvous, both ways", [&]() -> st::task<> {
        co_await st::select{rendezvous.send(7), rendezvous.recv()};
      });
      co_await expect(goes_on, "select of full, both ways", [&]() -> st::task<> {
        auto s = co_await st::select{buffered.send(7), buffered.recv()};
        EXPECT_EQ(s.index(), 1u);
        co_await buffered.send(7);
      });
      co_await expect(goes_on, "select to receive of closed", [&]() -> st::task<> {
        auto s = co_await st::select{nil.recv(), shut.recv()};
        EXPECT_TRUE(s.get<1>().closed());
      });
      co_await expect(throws, "select to send to closed",
                      [&]() -> st::task<> { co_await st::select{nil.recv(), shut.send(7)}; });
      co_await expect(throws, "select to send to closed, with default",
                      [&]() -> st::task<> { co_await st::select{shut.send(7), st::otherwise}; });
      EXPECT_EQ(buffered.len(), 10u);
    });
  }
}

// --- select6 ------------------------------------------------------------------------------------

// A case that lost leaves its channel's queue in order, also when it stood last in it (Go issue
// 2075).
TEST(GoChan, select6) {
  run_on(1, []() -> st::task<> {
    const auto receive = [](st::receiver<int> c) -> st::task<> { co_await c.recv(); };
    const auto lose_to_receive = [](st::receiver<int> c, st::receiver<int> other) -> st::task<> {
      auto s = co_await st::select{c.recv(), other.recv()};
      EXPECT_EQ(s.index(), 1u);
      co_await c.recv();
    };
    st::chan<int> c(0), other(0);
    auto first = st::go(receive, c);
    co_await settle();
    auto loser = st::go(lose_to_receive, c, other);
    co_await settle();  // both wait for c, the select as the last
    co_await other.send(0);
    co_await settle();  // the loser waits again
    co_await c.send(1);
    co_await c.send(2);
    co_await first;
    co_await loser;

    const auto send = [](st::sender<int> to, int v) -> st::task<> { co_await to.send(v); };
    const auto lose_to_send = [](st::sender<int> to, st::sender<int> another, int v) -> st::task<> {
      auto s = co_await st::select{to.send(v), another.send(v)};
      EXPECT_EQ(s.index(), 1u);
      co_await to.send(v + 1);
    };
    auto first_sender = st::go(send, c, 10);
    co_await settle();
    auto losing_sender = st::go(lose_to_send, c, other, 20);
    co_await settle();
    auto won = co_await other.recv();
    EXPECT_EQ(*won, 20);
    co_await settle();
    auto one = co_await c.recv();
    EXPECT_EQ(*one, 10);
    auto two = co_await c.recv();
    EXPECT_EQ(*two, 21);
    co_await first_sender;
    co_await losing_sender;
  });
}

// --- select7 ------------------------------------------------------------------------------------

st::task<> receive_plain(st::receiver<int> c) { co_await c.recv(); }
st::task<> receive_one_case(st::receiver<int> c) { co_await st::select{c.recv()}; }
st::task<> receive_two_cases(st::receiver<int> c) {
  st::chan<int> never(0);
  auto s = co_await st::select{c.recv(), never.recv()};
  EXPECT_EQ(s.index(), 0u);
}
st::task<> send_plain(st::sender<int> c) { co_await c.send(1); }
st::task<> send_one_case(st::sender<int> c) { co_await st::select{c.send(1)}; }
st::task<> send_two_cases(st::sender<int> c) {
  st::chan<int> never(0);
  auto s = co_await st::select{c.send(1), never.send(2)};
  EXPECT_EQ(s.index(), 0u);
}
constexpr std::array receives{receive_plain, receive_one_case, receive_two_cases};
constexpr std::array sends{send_plain, send_one_case, send_two_cases};

// A receive that drops its value meets a send, each of them plain, in a select of one case or of
// two, whoever comes first.
TEST(GoChan, select7) {
  run_on(1, []() -> st::task<> {
    for (const auto receive : receives) {
      for (const auto send : sends) {
        for (const bool receiver_first : {true, false}) {
          st::chan<int> c(0);
          st::join_handle<> receiver, sender;
          if (receiver_first) receiver = st::go(receive, c);
          if (!receiver_first) sender = st::go(send, c);
          co_await settle();
          const bool waits = receiver_first ? !receiver.done() : !sender.done();
          EXPECT_TRUE(waits);
          if (receiver_first) sender = st::go(send, c);
          if (!receiver_first) receiver = st::go(receive, c);
          co_await receiver;
          co_await sender;
          EXPECT_FALSE(c.try_recv());
        }
      }
    }
  });
}

// --- sieve1 -------------------------------------------------------------------------------------

constexpr std::array first_primes{2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37, 41,
                                  43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97};

st::task<> count_from(int first, int step, st::sender<int> out) {
  try {
    for (int i = first;; i += step) co_await out.send(i);
  } catch (const st::closed&) {  // nobody wants more
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

st::task<> daisy_chain(st::group& g, st::sender<int> primes) {
  try {
    auto [numbers, in] = st::make_chan<int>();
    g.go(count_from, 2, 1, std::move(numbers));
    while (auto prime = co_await in.recv()) {
      co_await primes.send(*prime);
      auto [filtered, next] = st::make_chan<int>();
      g.go(filter, std::move(in), std::move(filtered), *prime);
      in = std::move(next);
    }
  } catch (const st::closed&) {
  }
}

// The sieve of Eratosthenes as a daisy chain: a filter for each prime.
TEST(GoChan, sieve1) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      std::vector<int> got;
      co_await st::scope([&](st::group& g) -> st::task<> {  // ends when the whole chain has
        auto [in, primes] = st::make_chan<int>();
        g.go(daisy_chain, std::ref(g), std::move(in));
        while (got.size() < first_primes.size()) {
          auto p = co_await primes.recv();
          got.push_back(*p);
        }
      });
      EXPECT_TRUE(std::equal(got.begin(), got.end(), first_primes.begin(), first_primes.end()));
    });
  }
}

// --- sieve2 -------------------------------------------------------------------------------------

/// Passes values on and keeps as many as there are, so that its sender never waits for its
/// receiver.
st::task<> unbounded_proxy(st::receiver<int> in, st::sender<int> out) {
  std::deque<int> held;
  try {
    while (in || !held.empty()) {
      const st::sender<int> to = held.empty() ? st::sender<int>() : out;
      const int first = held.empty() ? 0 : held.front();
      auto s = co_await st::select{in.recv(), to.send(first)};
      if (s.index() == 1) {
        held.pop_front();
      } else if (auto& v = s.get<0>()) {
        held.push_back(*v);
      } else {
        in = {};
      }
    }
  } catch (const st::closed&) {
  }
}

/// A stream of which the first value was received already.
struct peeked {
  int head;
  st::receiver<int> rest;
  friend bool operator<(const peeked& a, const peeked& b) { return a.head > b.head; }  // for a heap
};

/// All odd composites in order, each once: the multiples of the primes, from their squares on. With
/// a prime it knows those up to its square.
st::task<> merge_multiples(st::group& g, st::receiver<int> primes, st::sender<int> composites) {
  std::vector<peeked> heap;
  int last = 0;
  try {
    while (auto prime = co_await primes.recv()) {
      auto [in, multiples] = st::make_chan<int>(10);
      g.go(count_from, *prime * *prime, 2 * *prime, std::move(in));
      auto square = co_await multiples.recv();
      heap.push_back({*square, std::move(multiples)});
      std::push_heap(heap.begin(), heap.end());
      while (heap.front().head <= *square) {
        std::pop_heap(heap.begin(), heap.end());
        peeked& least = heap.back();
        if (least.head != last) {
          last = least.head;
          co_await composites.send(last);
        }
        auto next = co_await least.rest.recv();
        least.head = *next;
        std::push_heap(heap.begin(), heap.end());
      }
    }
  } catch (const st::closed&) {
  }
}

/// The primes are the odd numbers that are not composite; they go out and back to who makes the
/// composites.
st::task<> sift(st::receiver<int> odds, st::receiver<int> composites, st::sender<int> known,
                st::sender<int> out) {
  try {
    co_await out.send(2);
    co_await out.send(3);
    co_await known.send(3);
    auto candidate = co_await odds.recv();
    while (auto composite = co_await composites.recv()) {
      while (*candidate < *composite) {
        co_await known.send(*candidate);
        co_await out.send(*candidate);
        candidate = co_await odds.recv();
      }
      if (*candidate == *composite) candidate = co_await odds.recv();
    }
  } catch (const st::closed&) {
  }
}

// The sieve of Eratosthenes as a ring: the primes found are fed back, through a proxy without
// bounds, to a heap that merges their multiples.
TEST(GoChan, sieve2) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      std::vector<int> got;
      co_await st::scope([&](st::group& g) -> st::task<> {  // ends when the whole ring has
        auto [out, primes] = st::make_chan<int>(10);
        auto [odds_in, odds] = st::make_chan<int>(50);
        auto [composites_in, composites] = st::make_chan<int>(50);
        auto [known_in, known] = st::make_chan<int>(10);
        auto [queued_in, queued] = st::make_chan<int>(10);
        g.go(count_from, 5, 2, std::move(odds_in));
        g.go(unbounded_proxy, std::move(known), std::move(queued_in));
        g.go(merge_multiples, std::ref(g), std::move(queued), std::move(composites_in));
        g.go(sift, std::move(odds), std::move(composites), std::move(known_in), std::move(out));
        while (got.size() < first_primes.size()) {
          auto p = co_await primes.recv();
          got.push_back(*p);
        }
      });
      EXPECT_TRUE(std::equal(got.begin(), got.end(), first_primes.begin(), first_primes.end()));
    });
  }
}

// --- zerosize -----------------------------------------------------------------------------------

// A channel may carry values without content, with and without a buffer.
TEST(GoChan, zerosize) {
  struct nothing {};
  static_assert(std::is_empty_v<nothing>);
  for (const unsigned workers : worker_counts) {
    for (const std::size_t capacity : {0u, 1u}) {
      run_on(workers, [capacity]() -> st::task<> {
        st::chan<nothing> c(capacity);
        EXPECT_EQ(c.cap(), capacity);
        auto h = st::go(
            [](st::sender<nothing> to) -> st::task<> {
              const nothing v;
              for (int i = 0; i < 3; ++i) co_await to.send(v);
              to.close();
            },
            c);
        int count = 0;
        while (auto v = co_await c.recv()) ++count;
        EXPECT_EQ(count, 3);
        co_await h;
      });
    }
  }
}

}  // namespace
