// Those of Go's test/fixedbugs that are about channels, select and goroutines, by name.
#include <gtest/gtest.h>
#include <malloc.h>

#include <any>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
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

// Functions without a name: one that sends in a goroutine, one that receives in place.
TEST(GoFixedBugs, bug067) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      st::chan<int> c(0);
      st::go([c]() -> st::task<> { co_await c.send(7); });
      const auto receive = [&]() -> st::task<int> {
        auto v = co_await c.recv();
        co_return *v;
      };
      const int got = co_await receive();
      EXPECT_EQ(got, 7);
    });
  }
}

// A receive that tells whether there was a value, of a channel in an array.
TEST(GoFixedBugs, bug069) {
  run_on(1, []() -> st::task<> {
    std::array<st::chan<int>, 3> chans;
    chans[0] = st::chan<int>(1);
    std::size_t at = 0;
    co_await chans[at].send(7);
    chans[0].close();
    auto first = co_await chans[at].recv();
    EXPECT_TRUE(first && *first == 7);
    auto second = co_await chans[at].recv();
    EXPECT_FALSE(second);
    EXPECT_FALSE(chans[1]);
  });
}

struct speaker {
  virtual ~speaker() = default;
  virtual st::task<> speak(st::sender<int> to) const = 0;
};
struct repeater final : speaker {
  explicit repeater(int v) : value(v) {}
  st::task<> speak(st::sender<int> to) const override { co_await to.send(value); }
  int value;
};

// A goroutine may be a call of a virtual method.
TEST(GoFixedBugs, bug130) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      const repeater r(42);
      const speaker& s = r;
      st::chan<int> c(0);
      auto h = st::go(&speaker::speak, std::ref(s), c);
      auto v = co_await c.recv();
      EXPECT_EQ(*v, 42);
      co_await h;
    });
  }
}

// A send to a channel without a buffer waits for its receiver: what that one did before, we see.
TEST(GoFixedBugs, bug147) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      for (int round = 0; round < 100; ++round) {
        st::chan<int> c(0);
        bool ready = false;  // no atomic: the channel orders it
        auto h = st::go([&, from = st::receiver<int>(c)]() -> st::task<> {
          for (int i = 0; i < round; ++i) co_await st::yield();
          ready = true;
          co_await from.recv();
        });
        co_await c.send(1);
        EXPECT_TRUE(ready);
        co_await h;
      }
    });
  }
}

// A select may drop what it received; it has taken it all the same.
TEST(GoFixedBugs, bug225) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      st::chan<int> c(0);
      auto h = st::go([to = st::sender<int>(c)]() -> st::task<> {
        for (int i = 0; i < 3; ++i) co_await to.send(i);
      });
      co_await c.recv();
      co_await st::select{c.recv()};
      auto v = co_await c.recv();
      EXPECT_EQ(*v, 2);
      co_await h;
    });
  }
}

// A channel of any type: each value comes out as what it went in.
TEST(GoFixedBugs, bug230) {
  run_on(1, []() -> st::task<> {
    struct node {
      node* next = nullptr;
    };
    node a;
    node b{&a};
    st::chan<std::any> c(1);
    co_await c.send(false);
    auto flag = co_await c.recv();
    EXPECT_FALSE(std::any_cast<bool>(*flag));
    co_await c.send(4);
    auto number = co_await c.recv();
    EXPECT_EQ(std::any_cast<int>(*number), 4);
    EXPECT_THROW(std::any_cast<bool>(*number), std::bad_any_cast);
    co_await c.send(std::string("hi"));
    auto text = co_await c.recv();
    EXPECT_EQ(std::any_cast<std::string>(*text), "hi");
    co_await c.send(&b);
    auto pointer = co_await c.recv();
    EXPECT_EQ(std::any_cast<node*>(*pointer)->next, &a);
    co_await c.send(b);
    auto structure = co_await c.recv();
    EXPECT_EQ(std::any_cast<node>(*structure).next, &a);
    co_await c.send();
    auto nothing = co_await c.recv();
    EXPECT_TRUE(nothing && !nothing->has_value()) << "an empty value is a value";
  });
}

// A receive says that there is a value for all that was sent before the close, and then never more.
TEST(GoFixedBugs, bug234) {
  run_on(1, []() -> st::task<> {
    constexpr int n = 100;
    st::chan<int> c(n);
    for (int i = 0; i < n; ++i) co_await c.send(i);
    c.close();
    for (int i = 0; i < n; ++i) {
      auto v = co_await c.recv();
      EXPECT_TRUE(v && *v == i) << i;
    }
    for (int i = 0; i < n; ++i) {
      auto v = co_await c.recv();
      EXPECT_TRUE(!v && v.closed());
    }
  });
}

/// One side of a connection.
struct conn {
  conn(st::sender<std::string> w, st::receiver<std::string> r)
      : write(std::move(w)), read(std::move(r)) {}
  st::sender<std::string> write;
  st::receiver<std::string> read;
};

/// A network in memory: who dials gets one side of a new connection, who accepts the other.
class fake_net {
 public:
  st::task<conn> dial() {
    auto [there, here] = st::make_chan<std::string>();
    auto [back, answer] = st::make_chan<std::string>();
    conn theirs(std::move(back), std::move(here));
    co_await pending_.send(std::move(theirs));
    co_return conn(std::move(there), std::move(answer));
  }
  st::task<conn> accept() {
    auto c = co_await pending_.recv();
    if (!c) throw std::runtime_error("listener closed");
    co_return *std::move(c);
  }
  void close() { pending_.close(); }

 private:
  st::chan<conn> pending_{0};
};

// Closures and channels make a network: a server that listens, clients that dial.
TEST(GoFixedBugs, bug243) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      fake_net net;
      auto server = st::go([&]() -> st::task<int> {
        for (int served = 0;; ++served) {
          auto c = co_await st::as_result(net.accept());
          if (!c) co_return served;
          st::go(
              [](conn with) -> st::task<> {
                while (auto line = co_await with.read.recv()) {
                  co_await with.write.send("echo " + *line);
                }
              },
              *std::move(c));
        }
      });
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int i = 0; i < 10; ++i) {
          g.go([&net, i]() -> st::task<> {
            auto c = co_await net.dial();
            const auto line = std::to_string(i);
            co_await c.write.send(line);
            auto answer = co_await c.read.recv();
            EXPECT_EQ(*answer, "echo " + line);
            c.write = {};  // hang up: the other side hangs up by it
            auto end = co_await c.read.recv();
            EXPECT_TRUE(end.closed());
          });
        }
        co_return;
      });
      net.close();
      const int served = co_await server;
      EXPECT_EQ(served, 10);
    });
  }
}

// A channel larger than memory could be is refused where it is made.
TEST(GoFixedBugs, bug273) {
  using large = std::array<char, 1 << 20>;
  const auto negative = static_cast<std::size_t>(-1);
  EXPECT_THROW(st::chan<int>{negative}, std::length_error);
  EXPECT_THROW(st::chan<large>{negative}, std::length_error);
  EXPECT_THROW(st::chan<int>{SIZE_MAX / sizeof(int) + 1}, std::length_error);
  EXPECT_THROW(st::chan<large>{SIZE_MAX / sizeof(large)}, std::length_error);
  EXPECT_THROW(st::chan<large>{SIZE_MAX / sizeof(large) + 1}, std::length_error) << "overflows";
}

// A select may receive into a wider type than the channel's.
TEST(GoFixedBugs, bug312) {
  run_on(1, []() -> st::task<> {
    st::chan<int> c(1);
    co_await c.send(1);
    std::any any;
    co_await st::select{st::on(c.recv(), [&](auto v) { any = *v; })};
    EXPECT_EQ(std::any_cast<int>(any), 1);
    co_await c.send(-2);
    std::int64_t wide = 0;
    co_await st::select{st::on(c.recv(), [&](auto v) { wide = *v; })};
    EXPECT_EQ(wide, -2);
    co_await c.send(3);
    auto s = co_await st::select{c.recv()};
    const std::variant<std::string, int> either = *s.get<0>();
    EXPECT_EQ(std::get<int>(either), 3);
  });
}

// What a select received is new each time: goroutines that keep it keep what they got.
TEST(GoFixedBugs, bug320) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      constexpr std::size_t n = 100;
      st::chan<std::unique_ptr<std::size_t>> c(4);
      st::chan<std::size_t> quiet(0), kept(0);
      st::chan<int> gate(0);
      auto h = st::go([to = st::sender<std::unique_ptr<std::size_t>>(c)]() -> st::task<> {
        for (std::size_t i = 0; i < n; ++i) {
          auto p = std::make_unique<std::size_t>(i);
          co_await to.send(std::move(p));
        }
      });
      const auto keep = [](st::receiver<int> open, st::sender<std::size_t> to,
                           std::unique_ptr<std::size_t> mine) -> st::task<> {
        co_await open.recv();
        co_await to.send(*mine);
      };
      for (std::size_t i = 0; i < n; ++i) {
        auto s = co_await st::select{c.recv(), quiet.recv()};
        EXPECT_EQ(s.index(), 0u);
        st::go(keep, gate, kept, *std::move(s.get<0>()));
      }
      co_await h;
      gate.close();  // now that all have been received
      std::vector<int> seen(n);
      for (std::size_t i = 0; i < n; ++i) {
        auto v = co_await kept.recv();
        ++seen[*v];
      }
      EXPECT_EQ(seen, std::vector<int>(n, 1));
    });
  }
}

// What was received from a channel of channels is received from.
TEST(GoFixedBugs, issue8011) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      st::chan<st::receiver<int>> outer(0);
      auto h = st::go([to = st::sender<st::receiver<int>>(outer)]() -> st::task<> {
        for (int i = 0; i < 10; ++i) {
          auto [tx, rx] = st::make_chan<int>();
          co_await to.send(std::move(rx));
          co_await tx.send(i);
        }
      });
      for (int i = 0; i < 10; ++i) {
        auto inner = co_await outer.recv();
        auto v = co_await inner->recv();
        EXPECT_EQ(*v, i);
      }
      co_await h;
    });
  }
}

// A case that was not taken does not write what it would have received.
TEST(GoFixedBugs, issue8347) {
  run_on(1, []() -> st::task<> {
    st::chan<int> c(1);
    bool ok = true;
    const auto poll = [&]() -> st::task<std::size_t> {
      auto s =
          co_await st::select{st::on(c.recv(), [&](auto v) { ok = v.has_value(); }), st::otherwise};
      co_return s.index();
    };
    for (int i = 0; i < 12; ++i) {
      const std::size_t taken = co_await poll();
      EXPECT_EQ(taken, 1u);
      EXPECT_TRUE(ok);
    }
    c.close();
    const std::size_t taken = co_await poll();
    EXPECT_EQ(taken, 0u);
    EXPECT_FALSE(ok);
  });
}

/// Bytes of the heap in use. A sanitizer has a heap of its own, which reports leaks by itself.
std::int64_t heap_bytes() {
  const auto all = ::mallinfo2();
  return static_cast<std::int64_t>(all.uordblks + all.hblkhd);
}

// A select leaves nothing in the queues of its channels: no memory, and nobody who would take a
// value.
TEST(GoFixedBugs, issue9110) {
  run_on(1, []() -> st::task<> {
    st::chan<int> common(0), back(0);  // outlive the selects
    const auto wait = [](st::chan<int> never, st::chan<int> also_never,
                         st::receiver<int> end) -> st::task<> {
      auto s = co_await st::select{never.recv(), end.recv(), also_never.send(1)};
      EXPECT_EQ(s.index(), 1u);
    };
    const auto round = [&]() -> st::task<> {
      constexpr int n = 1000;
      std::vector<st::join_handle<>> all;
      all.reserve(n);
      auto [tx, end] = st::make_chan<int>();
      for (int i = 0; i < n; ++i) all.push_back(st::go(wait, common, back, end));
      co_await settle();
      tx.close();
      for (auto& h : all) co_await h;
    };
    co_await round();
    const std::int64_t before = heap_bytes();
    const std::int64_t frames_before = st::detail::pool_live();
    for (std::uint64_t i = scaled(20); i > 0; --i) {
      co_await round();
      auto s = co_await st::select{common.send(1), back.recv(), st::otherwise};
      EXPECT_EQ(s.index(), 2u) << "met a select that had ended";
    }
    EXPECT_LT(heap_bytes() - before, 10'000);
    EXPECT_EQ(st::detail::pool_live(), frames_before);
  });
}

struct parcel {
  parcel(std::size_t s, std::uint64_t n) : sender(s), number(n), check(n * 3 + s) {}
  std::size_t sender;
  std::uint64_t number, check;
};

// Ten goroutines send 100 000 pointers each to ten others over one channel: what they point to
// arrives whole, each once, and in each sender's order.
TEST(GoFixedBugs, issue13169) {
  constexpr std::size_t each = 10;
  for (const unsigned workers : worker_counts) {
    const std::uint64_t n = scaled(100'000);
    std::atomic<std::uint64_t> count{0}, sum{0};
    run_on(workers, [&]() -> st::task<> {
      co_await st::scope([&](st::group& g) -> st::task<> {
        auto [tx, rx] = st::make_chan<std::unique_ptr<parcel>>();
        for (std::size_t me = 0; me < each; ++me) {
          g.go(
              [n, me](st::sender<std::unique_ptr<parcel>> to) -> st::task<> {
                for (std::uint64_t i = 1; i <= n; ++i) {
                  auto p = std::make_unique<parcel>(me, i);
                  co_await to.send(std::move(p));
                }
              },
              tx);
          g.go(
              [&](st::receiver<std::unique_ptr<parcel>> from) -> st::task<> {
                std::array<std::uint64_t, each> last{};
                bool fine = true;
                while (auto v = co_await from.recv()) {
                  const parcel& p = **v;
                  fine = fine && p.check == p.number * 3 + p.sender && p.number > last[p.sender];
                  last[p.sender] = p.number;
                  ++count;
                  sum += p.number;
                }
                EXPECT_TRUE(fine);
              },
              rx);
        }
        co_return;
      });
    });
    EXPECT_EQ(count.load(), each * n);
    EXPECT_EQ(sum.load(), each * n * (n + 1) / 2);
  }
}

// A structure with an array in it comes out of a channel whole.
TEST(GoFixedBugs, issue22683) {
  struct inner {
    std::string name;
    int value = 0;
  };
  struct outer {
    std::array<inner, 1> in;
  };
  run_on(1, []() -> st::task<> {
    st::chan<outer> c(2);
    for (int i = 0; i < 2; ++i) {
      outer o;
      o.in[0].name = "number " + std::to_string(i);
      o.in[0].value = i;
      co_await c.send(std::move(o));
    }
    c.close();
    int count = 0;
    while (auto v = co_await c.recv()) {
      for (const inner& i : v->in) {
        EXPECT_EQ(i.name, "number " + std::to_string(count));
        EXPECT_EQ(i.value, count);
      }
      ++count;
    }
    EXPECT_EQ(count, 2);
  });
}

// An int is received into a variable of any type, in each form of a receive.
TEST(GoFixedBugs, issue43292) {
  run_on(1, []() -> st::task<> {
    st::chan<int> c(3);
    const auto is = [](const std::any& x, int v) { return std::any_cast<int>(x) == v; };
    for (int i = 1; i <= 3; ++i) co_await c.send(i);
    auto plain = co_await c.recv();
    std::any x = *plain;
    EXPECT_TRUE(is(x, 1));
    auto now = c.try_recv();
    if (now) x = *now;
    EXPECT_TRUE(is(x, 2));
    auto s = co_await st::select{c.recv(), st::otherwise};
    EXPECT_EQ(s.index(), 0u);
    x = *s.get<0>();
    EXPECT_TRUE(is(x, 3));

    for (int i = 4; i <= 6; ++i) co_await c.send(i);
    bool ok = false;
    const auto take = [&](auto v) {
      ok = v.has_value();
      if (ok) x = *v;
    };
    co_await st::select{st::on(c.recv(), take)};
    EXPECT_TRUE(ok && is(x, 4));
    c.close();
    int expected = 5;
    while (auto v = co_await c.recv()) {
      x = *v;
      EXPECT_TRUE(is(x, expected));
      ++expected;
    }
    EXPECT_EQ(expected, 7);
    co_await st::select{st::on(c.recv(), take)};
    EXPECT_TRUE(!ok && is(x, 6)) << "the end leaves the variable alone";
  });
}

// Each receive of a select is a variable of its own, which lives as long as somebody refers to it.
TEST(GoFixedBugs, issue48289) {
  run_on(1, []() -> st::task<> {
    st::chan<int> c(1);
    std::array<std::shared_ptr<int>, 3> kept;
    for (int i = 0; i < 3; ++i) {
      co_await c.send(i);
      const auto keep = [&](auto v) {
        kept[static_cast<std::size_t>(i)] = std::make_shared<int>(*v);
      };
      co_await st::select{st::on(c.recv(), keep)};
    }
    for (int i = 0; i < 3; ++i) EXPECT_EQ(*kept[static_cast<std::size_t>(i)], i);

    co_await c.send(10);
    auto first = co_await st::select{c.recv()};
    co_await c.send(11);
    auto second = co_await st::select{c.recv()};
    EXPECT_NE(&*first.get<0>(), &*second.get<0>());
    EXPECT_EQ(*first.get<0>(), 10);
    EXPECT_EQ(*second.get<0>(), 11);
  });
}

/// A function that gives functions that send.
template <class T>
auto sends_to(st::sender<T> to) {
  return [to](T v) { return [to, v]() -> st::task<> { co_await to.send(v); }; };
}

// A closure in a closure may send, in generic code as well.
TEST(GoFixedBugs, issue49029) {
  for (const unsigned workers : worker_counts) {
    run_on(workers, []() -> st::task<> {
      st::chan<int> numbers(0);
      st::chan<std::string> texts(0);
      const auto send_number = sends_to<int>(numbers);
      const auto send_text = sends_to<std::string>(texts);
      for (int i = 1; i <= 4; ++i) st::go(send_number(i));
      st::go(send_text("text"));
      int sum = 0;
      for (int i = 0; i < 4; ++i) {
        auto v = co_await numbers.recv();
        sum += *v;
      }
      EXPECT_EQ(sum, 10);
      auto text = co_await texts.recv();
      EXPECT_EQ(*text, "text");
    });
  }
}

// The views of one channel are equal whatever their direction, and those of others are not.
TEST(GoFixedBugs, issue67190) {
  struct nothing {};
  const st::chan<nothing> a(0), b(0), nil;
  const st::sender<nothing> tx = a;
  const st::receiver<nothing> rx = a;
  EXPECT_TRUE(a == tx);
  EXPECT_TRUE(tx == a);
  EXPECT_TRUE(a == rx);
  EXPECT_TRUE(rx == tx);
  EXPECT_FALSE(b == tx);
  EXPECT_FALSE(rx == b);
  EXPECT_FALSE(nil == rx);
  EXPECT_TRUE(nil == st::receiver<nothing>());
}

// Goroutines of a wait_group keep the loop's variable as it was, each with its ticker.
TEST(GoFixedBugs, issue59680) {
  for (int seed = 1; seed <= 20; ++seed) {
    std::vector<int> ticks(5);
    const auto run = st::sim::run(seed, [&]() -> st::task<> {
      st::wait_group wg;
      for (std::size_t i = 0; i < ticks.size(); ++i) {
        wg.go([&ticks, i]() -> st::task<> {
          st::ticker ticker(1ms * (i + 1));
          for (int k = 0; k < 3; ++k) {
            auto t = co_await ticker.recv();
            if (t) ++ticks[i];
          }
        });
      }
      co_await wg.wait();
    });
    EXPECT_EQ(ticks, std::vector<int>(5, 3));
    EXPECT_EQ(run.elapsed, 15ms);  // three ticks of the slowest, in virtual time
  }
}

}  // namespace
