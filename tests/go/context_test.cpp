// Go's src/context/x_test.go and context_test.go, by name. Contexts are made here by what awaits
// under them: with_context for WithCancel, with_timeout, with_deadline, with_value, and shield for
// WithoutCancel. "Err" is is_cancelled(), and the cause says which kind it was.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;

constexpr st::context_key<int> number;

/// Runs `f` simulated, once for each of `n` seeds.
template <class F>
void in_simulations(std::uint64_t n, F f) {
  for (std::uint64_t seed = 1; seed <= n; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    st::sim::run(seed, f);
  }
}

std::exception_ptr reason(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

/// Why a context was cancelled, or a wait failed, in words.
std::string words(const std::exception_ptr& e) {
  if (!e) return "none";
  try {
    std::rethrow_exception(e);
  } catch (const st::timed_out&) {
    return "timed out";
  } catch (const std::exception& x) {
    return x.what();
  }
}
std::string why(const st::context& c) { return words(c.cause()); }

/// Whether its done case is ready, as a goroutine outside of it sees.
st::task<bool> is_done(st::context c) {
  const auto s = co_await st::select{c.done(), st::otherwise};
  co_return s.index() == 0;
}

/// The number of contexts made from this one that are still there.
std::size_t children(const st::context& c) {
  auto* const state = st::detail::state_of(c);
  std::size_t n = 0;
  state->lock.lock();
  for (auto* child = state->first_child; child != nullptr; child = child->next_sibling) ++n;
  state->lock.unlock();
  return n;
}

using source_ptr = std::unique_ptr<st::cancel_source>;

st::task<source_ptr> make_source() { co_return std::make_unique<st::cancel_source>(); }

/// A source whose context is made from the one of `parent`.
st::task<source_ptr> child_of(const st::cancel_source& parent) {
  auto made = co_await st::with_context(parent, make_source());
  co_return made;
}

/// Gives away the context that it runs in and stays in it until it is cancelled.
st::task<> live_in(st::sender<st::context> out) {
  co_await out.send(st::context::current());
  co_await st::chan<int>().recv();
}

// A context that is cancelled takes all that was made from it along, before cancel returns, and
// what is made from it later.
TEST(GoContext, TestParentFinishesChild) {
  in_simulations(10, []() -> st::task<> {
    st::cancel_source parent;
    {
      st::chan<st::context> contexts(0);
      const auto child = co_await child_of(parent);
      auto valued = st::go([&]() -> st::task<> {
        co_await st::with_context(parent, st::with_value(number, 1, live_in(contexts)));
      });
      auto timed = st::go([&]() -> st::task<> {
        co_await st::with_context(parent, st::with_timeout(10'000h, live_in(contexts)));
      });
      std::vector<st::context> below{child->context()};
      for (int i = 0; i < 2; ++i) {
        auto c = co_await contexts.recv();
        below.push_back(*c);
      }
      EXPECT_EQ(children(parent.context()), 3u);
      EXPECT_FALSE(parent.context().is_cancelled());
      for (const auto& c : below) {
        const bool done = co_await is_done(c);
        EXPECT_FALSE(done);
        EXPECT_FALSE(c.is_cancelled());
        EXPECT_EQ(why(c), "none");
      }

      parent.cancel(reason("parent"));
      EXPECT_TRUE(parent.context().is_cancelled());
      for (const auto& c : below) EXPECT_TRUE(c.is_cancelled());  // at once, all of them
      for (const auto& c : below) {
        const bool done = co_await is_done(c);
        EXPECT_TRUE(done);
        EXPECT_EQ(why(c), "parent");
      }

      const auto late = co_await child_of(parent);
      EXPECT_TRUE(late->context().is_cancelled());
      EXPECT_EQ(why(late->context()), "parent");
      const auto one = co_await st::as_result(std::move(valued));
      EXPECT_FALSE(one) << "its goroutine was not cancelled";
      const auto two = co_await st::as_result(std::move(timed));
      EXPECT_FALSE(two) << "its goroutine was not cancelled";
    }
    EXPECT_EQ(children(parent.context()), 0u);
  });
}

// A child that is cancelled leaves its parent and its siblings alone.
TEST(GoContext, TestChildFinishesFirst) {
  in_simulations(5, []() -> st::task<> {
    for (const bool below_root : {true, false}) {
      st::cancel_source parent;
      const st::context above = below_root ? st::context::current() : parent.context();
      const std::size_t before = children(above);
      {
        const auto child = below_root ? std::make_unique<st::cancel_source>() : nullptr;
        const auto from_parent = co_await child_of(parent);
        const auto sibling = co_await child_of(parent);
        const auto& first = below_root ? child : from_parent;
        const st::context c = first->context();
        bool done = co_await is_done(above);
        EXPECT_FALSE(done);
        done = co_await is_done(c);
        EXPECT_FALSE(done);

        first->cancel(reason("child"));
        done = co_await is_done(c);
        EXPECT_TRUE(done);
        EXPECT_EQ(why(c), "child");
        for (const auto& other : {above, sibling->context()}) {
          done = co_await is_done(other);
          EXPECT_FALSE(done);
          EXPECT_FALSE(other.is_cancelled());
          EXPECT_EQ(why(other), "none");
        }
      }
      EXPECT_EQ(children(above), before) << "the child is still linked";
    }
  });
}

// Whatever was made from a context is unlinked from it when it is over.
TEST(GoContext, TestCancelRemoves) {
  in_simulations(5, []() -> st::task<> {
    st::cancel_source above;
    const auto inside = []() -> st::task<> {
      const st::context parent = st::context::current();
      const auto linked = [&parent]() -> st::task<std::size_t> { co_return children(parent); };
      EXPECT_EQ(children(parent), 0u);
      {
        st::cancel_source child;
        EXPECT_EQ(children(parent), 1u);
        child.cancel();
      }
      EXPECT_EQ(children(parent), 0u) << "after cancelling a source";
      std::size_t during = co_await st::with_timeout(1h, linked());
      EXPECT_EQ(during, 1u);
      EXPECT_EQ(children(parent), 0u) << "after a timeout that was not needed";
      const auto late = co_await st::as_result(st::with_timeout(1ms, st::sleep(1h)));
      EXPECT_FALSE(late);
      EXPECT_EQ(children(parent), 0u) << "after a timeout";
      during = co_await st::with_value(number, 1, linked());
      EXPECT_EQ(during, 1u);
      EXPECT_EQ(children(parent), 0u) << "after a value";
      co_await st::scope([&](st::group& g) -> st::task<> {
        EXPECT_EQ(children(parent), 1u);
        g.go([] {});
        co_return;
      });
      EXPECT_EQ(children(parent), 0u) << "after a scope";
      during = co_await st::shield(linked());
      EXPECT_EQ(during, 0u) << "what is shielded is not cancelled with it";
    };
    co_await st::with_context(above, inside());
    EXPECT_EQ(children(above.context()), 0u);
  });
}

// The context in which a program begins is never done, and has no deadline, cause or value.
TEST(GoContext, TestBackground) {
  in_simulations(3, []() -> st::task<> {
    const st::context c = st::context::current();
    const auto s = co_await st::select{c.done(), st::after(1'000h)};
    EXPECT_EQ(s.index(), 1u);
    EXPECT_FALSE(c.is_cancelled());
    EXPECT_EQ(why(c), "none");
    EXPECT_FALSE(c.deadline());
    EXPECT_EQ(c.get(number), nullptr);
  });
}

// Nor is the one for callers that have none to give: a goroutine that a plain thread starts is in
// it, whatever the others are in.
TEST(GoContext, TestTODO) {
  run_on(2, []() -> st::task<> {
    const auto start_outside = []() -> st::task<> {
      EXPECT_TRUE(st::context::current().deadline());
      st::chan<st::context> contexts(1);
      st::outside_work alive;
      std::thread outside([&contexts, work = std::move(alive)] {
        st::go([out = contexts]() -> st::task<> { co_await out.send(st::context::current()); });
      });
      const auto c = co_await contexts.recv();
      outside.join();
      const bool done = co_await is_done(*c);
      EXPECT_FALSE(done);
      EXPECT_FALSE(c->deadline());
      EXPECT_EQ(why(*c), "none");
      EXPECT_EQ(c->get(number), nullptr);
    };
    co_await st::with_timeout(1h, st::with_value(number, 1, start_outside()));
  });
}

// Cancelling reaches a context, and one made from it over another layer, before cancel returns.
TEST(GoContext, TestWithCancel) {
  in_simulations(10, []() -> st::task<> {
    st::cancel_source source;
    source_ptr inner;
    const auto make_inner = [&]() -> st::task<> {
      inner = std::make_unique<st::cancel_source>();
      co_return;
    };
    co_await st::with_context(source, st::with_value(number, 1, make_inner()));
    const std::vector<st::context> both{source.context(), inner->context()};
    for (const auto& c : both) {
      const bool done = co_await is_done(c);
      EXPECT_FALSE(done);
      EXPECT_FALSE(c.is_cancelled());
    }
    EXPECT_TRUE(source.cancel());
    EXPECT_FALSE(source.cancel()) << "only the first call cancels";
    EXPECT_FALSE(inner->cancel()) << "it was cancelled with its parent";
    for (const auto& c : both) {
      EXPECT_TRUE(c.is_cancelled());
      const bool done = co_await is_done(c);
      EXPECT_TRUE(done);
      EXPECT_EQ(why(c), "none");
    }
  });
}

/// Waits for more than its context allows, which is until `due`: the wait must end exactly then.
st::task<> overrun(st::clock::time_point due) {
  const st::context c = st::context::current();
  EXPECT_EQ(c.deadline(), due);
  EXPECT_EQ(c.is_cancelled(), due <= st::now());
  bool ended = false;
  try {
    co_await st::chan<int>().recv();
  } catch (const st::cancelled& e) {
    ended = true;
    EXPECT_EQ(words(e.cause()), "timed out");
  }
  EXPECT_TRUE(ended);
  EXPECT_GE(st::now(), due);
  EXPECT_TRUE(c.is_cancelled());
  EXPECT_EQ(why(c), "timed out");
  co_await st::yield();  // throws again: that is how it ends
  ADD_FAILURE() << "a wait in a context that is over";
}

/// Awaits `limited`, a task that runs out of time at `due`.
template <class Task>
st::task<> expect_timed_out(st::clock::time_point due, Task&& limited) {
  const auto r = co_await st::as_result(std::forward<Task>(limited));
  EXPECT_EQ(words(r.error()), "timed out");
  EXPECT_EQ(st::now(), due);
  EXPECT_FALSE(st::context::current().is_cancelled());
}

// A deadline ends a context exactly then: alone, over another layer, under a later one, and at once
// if it has passed.
TEST(GoContext, TestDeadline) {
  in_simulations(10, []() -> st::task<> {
    auto due = st::now() + 50ms;
    co_await expect_timed_out(due, st::with_deadline(due, overrun(due)));
    due = st::now() + 50ms;
    co_await expect_timed_out(due, st::with_deadline(due, st::with_value(number, 1, overrun(due))));
    due = st::now() + 50ms;
    co_await expect_timed_out(due,
                              st::with_deadline(due, st::with_deadline(due + 4s, overrun(due))));
    due = st::now() + 50ms;
    co_await expect_timed_out(due,
                              st::with_deadline(due + 4s, st::with_deadline(due, overrun(due))));
    const auto now = st::now();
    co_await expect_timed_out(now, st::with_deadline(now - 1ms, overrun(now - 1ms)));
    co_await expect_timed_out(now, st::with_deadline(now, overrun(now)));
  });
}

// The same with durations.
TEST(GoContext, TestTimeout) {
  in_simulations(10, []() -> st::task<> {
    auto due = st::now() + 50ms;
    co_await expect_timed_out(due, st::with_timeout(50ms, overrun(due)));
    due = st::now() + 50ms;
    co_await expect_timed_out(due, st::with_timeout(50ms, st::with_value(number, 1, overrun(due))));
    due = st::now() + 50ms;
    co_await expect_timed_out(due, st::with_timeout(50ms, st::with_timeout(4s, overrun(due))));
    due = st::now() + 50ms;
    co_await expect_timed_out(due, st::with_timeout(4s, st::with_timeout(50ms, overrun(due))));
    due = st::now();
    co_await expect_timed_out(due, st::with_timeout(0s, overrun(due)));
    co_await expect_timed_out(due, st::with_timeout(-1s, overrun(due)));
  });
}

// A context with a timeout that is cancelled by hand is cancelled at once, and did not time out.
TEST(GoContext, TestCanceledTimeout) {
  in_simulations(10, []() -> st::task<> {
    const auto start = st::now();
    st::cancel_source source;
    st::chan<st::context> contexts(0);
    auto member = st::go([&]() -> st::task<> {
      const auto timed = [&]() -> st::task<> {
        co_await st::with_timeout(
            1s, st::with_value(number, 1, st::with_timeout(2s, live_in(contexts))));
      };
      co_await st::with_context(source, timed());
    });
    const auto c = co_await contexts.recv();
    EXPECT_EQ(c->deadline(), start + 1s);
    source.cancel();
    EXPECT_TRUE(c->is_cancelled());
    EXPECT_EQ(why(*c), "none");
    const bool done = co_await is_done(*c);
    EXPECT_TRUE(done);
    const auto end = co_await st::as_result(std::move(member));
    EXPECT_FALSE(end);
    EXPECT_NE(words(end.error()), "timed out");
    EXPECT_EQ(st::now(), start);
    co_await st::sleep(5s);
    EXPECT_EQ(why(*c), "none") << "what came first counts";
  });
}

// A hundred contexts, each the child of another, are cancelled by a goroutine each at the same
// time: all end, and so do the goroutines in them.
TEST(GoContext, TestSimultaneousCancels) {
  const auto program = []() -> st::task<> {
    std::deque<source_ptr> tree;
    tree.push_back(std::make_unique<st::cancel_source>());
    for (std::size_t at = 0; tree.size() < 100; ++at) {
      for (int i = 0; i < 4; ++i) {
        auto child = co_await child_of(*tree[at]);
        tree.push_back(std::move(child));
      }
    }
    std::vector<st::join_handle<>> members, cancellers;
    for (const auto& source : tree) {
      members.push_back(st::go([&s = *source]() -> st::task<> {
        co_await st::with_context(s, st::chan<int>().recv());
      }));
    }
    co_await st::yield();
    for (const auto& source : tree) {
      cancellers.push_back(st::go([&s = *source] { s.cancel(); }));
    }
    for (const auto& source : tree) co_await source->context().done();
    for (const auto& source : tree) EXPECT_TRUE(source->context().is_cancelled());
    for (auto& c : cancellers) co_await c;
    for (auto& m : members) {
      const auto end = co_await st::as_result(std::move(m));
      EXPECT_FALSE(end);
    }
  };
  in_simulations(10, program);
  const auto rounds = scaled(50);
  for (const unsigned workers : {1u, 4u}) {
    for (std::uint64_t i = 0; i < rounds; ++i) run_on(workers, program);
  }
}

// A child is cancelled by whoever hears of its parent's end: a goroutine, or a callback that runs
// inside of the parent's cancel. Neither hangs.
TEST(GoContext, TestInterlockedCancels) {
  const auto program = []() -> st::task<> {
    st::cancel_source parent;
    const auto child = co_await child_of(parent);
    int called = 0;
    parent.context().on_cancel([&] {
      child->cancel();
      ++called;
    });
    child->context().on_cancel([&] {
      parent.cancel();
      ++called;
    });
    auto watcher = st::go([&]() -> st::task<> {
      co_await parent.context().done();
      child->cancel();
    });
    co_await st::yield();
    parent.cancel();
    EXPECT_EQ(called, 2);
    co_await child->context().done();
    co_await watcher;
  };
  in_simulations(10, program);
  for (const unsigned workers : {1u, 4u}) run_on(workers, program);
}

/// A random stack of at least thirty contexts: values, sources, timeouts. Simulated.
class layers {
 public:
  layers(std::uint32_t seed, bool by_time) : random_(seed), by_time_(by_time) {}

  st::task<> build(std::size_t depth = 0) {
    check_values();
    EXPECT_FALSE(st::context::current().is_cancelled());
    if (depth >= 30 && !values_.empty() && !sources_.empty() &&
        earliest_ != st::clock::time_point::max()) {
      co_await end();
      co_return;
    }
    switch (random_() % 3) {
      case 0: {
        auto& key = keys_.emplace_back();
        const int value = values_.emplace_back(static_cast<int>(random_() % 1000));
        co_await st::with_value(key, value, build(depth + 1));
        break;
      }
      case 1: {
        st::cancel_source source;
        sources_.push_back(&source);
        co_await st::with_context(source, build(depth + 1));
        break;
      }
      default: {
        const auto d = 1ms + std::chrono::nanoseconds(random_() % 200'000'000);
        earliest_ = std::min(earliest_, st::now() + d);
        co_await st::with_timeout(d, build(depth + 1));
      }
    }
  }

 private:
  void check_values() const {
    const st::context c = st::context::current();
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const int* const found = c.get(keys_[i]);
      EXPECT_NE(found, nullptr);
      if (found != nullptr) {
        EXPECT_EQ(*found, values_[i]);
      }
    }
    EXPECT_EQ(c.get(number), nullptr);
  }

  /// In the innermost context: ends it.
  st::task<> end() {
    const st::context c = st::context::current();
    EXPECT_EQ(c.deadline(), earliest_);
    if (by_time_) {
      bool ended = false;
      try {
        co_await st::chan<int>().recv();
      } catch (const st::cancelled&) {
        ended = true;
      }
      EXPECT_TRUE(ended);
      EXPECT_EQ(st::now(), earliest_);
      EXPECT_EQ(why(c), "timed out");
    } else {
      sources_[random_() % sources_.size()]->cancel(reason("by hand"));
      EXPECT_EQ(why(c), "by hand");
    }
    EXPECT_TRUE(c.is_cancelled());
    check_values();
    co_await st::yield();  // throws
    ADD_FAILURE() << "a wait in a context that is over";
  }

  std::mt19937 random_;
  const bool by_time_;
  std::deque<st::context_key<int>> keys_;
  std::vector<int> values_;
  std::vector<st::cancel_source*> sources_;
  st::clock::time_point earliest_ = st::clock::time_point::max();
};

// A random stack of contexts, one of which is cancelled: the innermost is at once, and keeps its
// values.
TEST(GoContext, TestLayersCancel) {
  std::uint32_t seed = 0;
  in_simulations(50, [&]() -> st::task<> {
    layers stack(++seed, false);
    bool ended = false;
    try {
      co_await stack.build();
    } catch (const st::cancelled&) {
      ended = true;
    }
    EXPECT_TRUE(ended);
    EXPECT_FALSE(st::context::current().is_cancelled());
  });
}

// The same when the earliest of its timeouts ends it.
TEST(GoContext, TestLayersTimeout) {
  std::uint32_t seed = 1000;
  in_simulations(50, [&]() -> st::task<> {
    layers stack(++seed, true);
    const auto r = co_await st::as_result(stack.build());
    EXPECT_EQ(words(r.error()), "timed out");
    EXPECT_FALSE(st::context::current().is_cancelled());
  });
}

// A context made from a cancelled one is cancelled from the start, for the same reason.
TEST(GoContext, TestWithCancelCanceledParent) {
  in_simulations(5, []() -> st::task<> {
    st::cancel_source parent;
    parent.cancel(reason("because"));
    const auto child = co_await child_of(parent);
    const bool done = co_await is_done(child->context());
    EXPECT_TRUE(done);
    EXPECT_TRUE(child->context().is_cancelled());
    EXPECT_EQ(why(child->context()), "because");
    EXPECT_FALSE(child->cancel(reason("too late")));
    EXPECT_EQ(why(child->context()), "because");
  });
}

// A context made while its parent is being cancelled is cancelled, too, for the same reason.
TEST(GoContext, TestWithCancelSimultaneouslyCanceledParent) {
  in_simulations(30, []() -> st::task<> {
    st::cancel_source parent;
    auto canceller = st::go([&]() -> st::task<> {
      co_await st::yield();
      parent.cancel(reason("because"));
    });
    co_await st::yield();
    const auto child = co_await child_of(parent);
    co_await child->context().done();
    EXPECT_EQ(why(child->context()), "because");
    co_await canceller;
  });
  run_on(2, []() -> st::task<> {
    for (int i = 0; i < 100; ++i) {
      st::cancel_source parent;
      st::outside_work alive;  // the child's end may come from the thread only
      std::thread canceller(
          [&parent, work = std::move(alive)] { parent.cancel(reason("because")); });
      for (bool cancelled = false; !cancelled;) {
        const auto child = co_await child_of(parent);
        cancelled = parent.context().is_cancelled();
        if (!cancelled) continue;
        co_await child->context().done();
        EXPECT_EQ(why(child->context()), "because");
      }
      canceller.join();
    }
  });
}

// Which cause a context has: the first cancellation counts, and a child has its parent's cause if
// that ended it.
TEST(GoContext, TestCause) {
  in_simulations(5, []() -> st::task<> {
    /// One row: whether it is cancelled, and why.
    const auto check = [](const char* row, const st::context& c, bool cancelled,
                          const std::string& cause) {
      EXPECT_EQ(c.is_cancelled(), cancelled) << row;
      EXPECT_EQ(why(c), cause) << row;
    };

    check("root", st::context::current(), false, "none");
    {
      st::cancel_source s;
      check("a source, not cancelled", s.context(), false, "none");
      s.cancel();
      check("a source, cancelled without a reason", s.context(), true, "none");
      s.cancel(reason("late"));
      check("a source, cancelled again with a reason", s.context(), true, "none");
    }
    {
      st::cancel_source s;
      s.cancel(reason("first"));
      check("a source, cancelled with a reason", s.context(), true, "first");
      s.cancel(reason("second"));
      check("a source, cancelled again with another", s.context(), true, "first");
      s.cancel(nullptr);
      check("a source, cancelled again without", s.context(), true, "first");
    }
    {
      st::cancel_source parent;
      const auto child = co_await child_of(parent);
      parent.cancel(reason("parent"));
      child->cancel(reason("child"));
      check("the parent's first, parent", parent.context(), true, "parent");
      check("the parent's first, child", child->context(), true, "parent");
    }
    {
      st::cancel_source parent;
      const auto child = co_await child_of(parent);
      child->cancel(reason("child"));
      check("the child's only, parent", parent.context(), false, "none");
      parent.cancel(reason("parent"));
      check("the child's first, parent", parent.context(), true, "parent");
      check("the child's first, child", child->context(), true, "child");
    }
    {
      st::cancel_source parent;
      const auto child = co_await child_of(parent);
      parent.cancel();
      child->cancel(reason("child"));
      check("no reason of the parent's first, child", child->context(), true, "none");
    }
    {
      st::cancel_source parent;
      const auto child = co_await child_of(parent);
      child->cancel(reason("child"));
      parent.cancel();
      check("no reason of the parent's later, parent", parent.context(), true, "none");
      check("no reason of the parent's later, child", child->context(), true, "child");
    }
    {
      st::cancel_source parent;
      const auto child = co_await child_of(parent);
      child->cancel();
      parent.cancel(reason("parent"));
      check("no reason of the child's first, child", child->context(), true, "none");
    }
    {
      st::cancel_source top;
      const auto middle = co_await child_of(top);
      const auto bottom = co_await child_of(*middle);
      top.cancel(reason("top"));
      check("two above", bottom->context(), true, "top");
      const auto late = co_await child_of(*bottom);
      check("made later", late->context(), true, "top");
    }
    {
      st::context kept = st::context::current();
      {
        st::cancel_source s;
        kept = s.context();
      }
      check("a source that is gone", kept, true, "none");
    }
    {
      const auto body = [&]() -> st::task<> {
        check("a timeout that is not over", st::context::current(), false, "none");
        co_return;
      };
      co_await st::with_timeout(1h, body());
    }
    {
      const auto body = [&]() -> st::task<> {
        check("a timeout that is over", st::context::current(), true, "timed out");
        st::cancel_source s;
        check("a child of one that is over", s.context(), true, "timed out");
        s.cancel(reason("late"));
        check("a child of one that is over, cancelled", s.context(), true, "timed out");
        co_return;
      };
      co_await st::with_timeout(-1s, body());
    }
    {
      st::cancel_source parent;
      const auto body = [&]() -> st::task<> {
        parent.cancel(reason("parent"));
        check("a timeout, cancelled before it was over", st::context::current(), true, "parent");
        co_await st::shield(st::sleep(2s));
        check("a timeout, cancelled and then over", st::context::current(), true, "parent");
      };
      co_await st::with_context(parent, st::with_timeout(1s, body()));
    }
    {
      st::cancel_source parent;
      const auto body = [&]() -> st::task<> {
        co_await st::shield(st::sleep(2s));
        parent.cancel(reason("parent"));
        check("a timeout, over and then cancelled", st::context::current(), true, "timed out");
      };
      co_await st::with_context(parent, st::with_timeout(1s, body()));
    }
    {
      st::cancel_source parent;
      parent.cancel(reason("parent"));
      const auto body = [&]() -> st::task<> {
        check("shielded from a cancelled parent", st::context::current(), false, "none");
        st::cancel_source s;
        s.cancel(reason("own"));
        check("a source in there, cancelled", s.context(), true, "own");
        co_return;
      };
      co_await st::with_context(parent, st::shield(body()));
      const auto late = [&]() -> st::task<> {
        check("a timeout in there", st::context::current(), true, "timed out");
        co_return;
      };
      co_await st::with_context(parent, st::shield(st::with_timeout(0s, late())));
    }
    {
      st::group g;
      const st::context members = g.context();
      check("a group", members, false, "none");
      g.go([] { throw std::runtime_error("a member's"); });
      const auto r = co_await st::as_result(g.join());
      check("a group whose member failed", members, true, "a member's");
      EXPECT_EQ(words(r.error()), "a member's");
    }
  });
}

// Who asks for the cause again and again, while it is cancelled elsewhere, sees it whole.
TEST(GoContext, TestCauseRace) {
  const auto poll = [](const st::context& c) -> st::task<> {
    std::exception_ptr cause;
    for (;;) {
      cause = c.cause();
      if (cause) break;
      co_await st::yield();
    }
    EXPECT_TRUE(c.is_cancelled());
    EXPECT_EQ(words(cause), "because");
  };
  in_simulations(10, [&]() -> st::task<> {
    st::cancel_source source;
    auto canceller = st::go([&] { source.cancel(reason("because")); });
    co_await poll(source.context());
    co_await canceller;
  });
  run_on(2, [&]() -> st::task<> {
    const auto rounds = scaled(300);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      st::cancel_source source;
      std::thread canceller([&source] { source.cancel(reason("because")); });
      co_await poll(source.context());
      canceller.join();
    }
  });
}

// A shielded context has the values of its parent, and neither its cancellation nor its deadline.
TEST(GoContext, TestWithoutCancel) {
  in_simulations(5, []() -> st::task<> {
    st::cancel_source parent;
    const auto shielded = [&]() -> st::task<> {
      const st::context c = st::context::current();
      EXPECT_FALSE(c.deadline());
      for (int i = 0; i < 2; ++i) {
        EXPECT_FALSE(c.is_cancelled());
        EXPECT_EQ(why(c), "none");
        const bool done = co_await is_done(c);
        EXPECT_FALSE(done);
        EXPECT_NE(c.get(number), nullptr);
        if (c.get(number) != nullptr) {
          EXPECT_EQ(*c.get(number), 7);
        }
        co_await st::sleep(1h);  // the deadline outside passes
        parent.cancel();
      }
    };
    bool ended = false;
    const auto inside = [&]() -> st::task<> {
      EXPECT_TRUE(st::context::current().deadline());
      co_await st::shield(shielded());
      try {
        co_await st::yield();
      } catch (const st::cancelled&) {
        ended = true;
      }
    };
    co_await st::with_context(parent, st::with_timeout(1s, st::with_value(number, 7, inside())));
    EXPECT_TRUE(ended) << "outside it shows again";
  });
}

// Who sees that a context is cancelled finds its done case ready.
TEST(GoContext, TestContextErrDoneRace) {
  const auto watch = [](const st::context& c) -> st::task<> {
    while (!c.is_cancelled()) co_await st::yield();
    const bool done = co_await is_done(c);
    EXPECT_TRUE(done);
  };
  in_simulations(10, [&]() -> st::task<> {
    st::cancel_source source;
    auto canceller = st::go([&] { source.cancel(); });
    co_await watch(source.context());
    co_await canceller;
  });
  run_on(2, [&]() -> st::task<> {
    const auto rounds = scaled(300);
    for (std::uint64_t i = 0; i < rounds; ++i) {
      st::cancel_source source;
      std::thread canceller([&source] { source.cancel(); });
      co_await watch(source.context());
      canceller.join();
    }
  });
}

// Left out: TestAfterFuncCalledAfterCancel, TestAfterFuncCalledAfterTimeout,
// TestAfterFuncCalledImmediately, TestAfterFuncNotCalledAfterStop and
// TestAfterFuncCalledAsynchronously: there is no AfterFunc with a goroutine of its own and a stop;
// and the rows of TestCause that give a deadline a cause of its own, which cannot be given here.

}  // namespace
