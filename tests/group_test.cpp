// scope and group: nothing outlives them, the first failure ends the rest, cancellation goes down.
#include <strait/group.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::settle;

st::task<> wait_for_ever(std::atomic<int>* cancelled) {
  try {
    co_await st::chan<int>().recv();
  } catch (const st::cancelled&) {
    ++*cancelled;
    throw;
  }
}
st::task<> fail_after(int yields, std::string why) {
  for (int i = 0; i < yields; ++i) co_await st::yield();
  throw std::runtime_error(why);
}

TEST(group, a_scope_ends_after_all_its_members) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    run_on(workers, [&]() -> st::task<> {
      std::atomic<int> ended = 0;
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int i = 0; i < 100; ++i) {
          g.go(
              [&ended](int n) -> st::task<> {
                for (int k = 0; k < n; ++k) co_await st::yield();
                ++ended;
              },
              i % 10);
        }
        co_return;
      });
      EXPECT_EQ(ended, 100);
    });
  }
}

TEST(group, an_empty_scope_ends_at_once) {
  run_on(1, [&]() -> st::task<> {
    co_await st::scope([](st::group&) -> st::task<> { co_return; });
    st::group g;
    EXPECT_EQ(g.size(), 0u);
    co_await g.join();
  });
}

TEST(group, the_first_failure_of_a_member_cancels_the_others_and_the_body) {
  for (int round = 0; round < 100; ++round) {
    run_on(2, [&]() -> st::task<> {
      std::atomic<int> cancelled = 0;
      std::string what;
      bool body_went_on = false;
      try {
        co_await st::scope([&](st::group& g) -> st::task<> {
          for (int i = 0; i < 4; ++i) g.go(wait_for_ever, &cancelled);
          g.go(fail_after, 3, "first");
          co_await st::chan<int>().recv();
          body_went_on = true;
        });
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      EXPECT_EQ(what, "first");
      EXPECT_EQ(cancelled, 4);
      EXPECT_FALSE(body_went_on);
    });
  }
}

TEST(group, a_failure_of_the_body_cancels_the_members) {
  run_on(2, [&]() -> st::task<> {
    std::atomic<int> cancelled = 0;
    std::string what;
    try {
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int i = 0; i < 4; ++i) g.go(wait_for_ever, &cancelled);
        co_await settle();
        throw std::runtime_error("body");
      });
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "body");
    EXPECT_EQ(cancelled, 4);
  });
}

TEST(group, of_several_failures_one_is_thrown) {
  for (int round = 0; round < 50; ++round) {
    run_on(4, [&]() -> st::task<> {
      std::string what;
      try {
        co_await st::scope([&](st::group& g) -> st::task<> {
          for (int i = 0; i < 8; ++i) g.go(fail_after, i % 3, "any");
          throw std::runtime_error("any");
          co_return;
        });
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      EXPECT_EQ(what, "any");
    });
  }
}

TEST(group, a_cancelled_parent_cancels_the_members_and_waits_for_them) {
  st::sim::run(1, [&]() -> st::task<> {
    std::atomic<int> cancelled = 0;
    bool cleaned = false;
    bool timed_out = false;
    try {
      co_await st::with_timeout(1s, st::scope([&](st::group& g) -> st::task<> {
                                  for (int i = 0; i < 3; ++i) g.go(wait_for_ever, &cancelled);
                                  g.go([&cleaned]() -> st::task<> {
                                    bool ended = false;
                                    try {
                                      co_await st::sleep(1h);
                                    } catch (const st::cancelled&) {
                                      ended = true;
                                    }
                                    EXPECT_TRUE(ended);
                                    co_await st::shield(st::sleep(5s));
                                    cleaned = true;
                                  });
                                  co_return;
                                }));
    } catch (const st::timed_out&) {
      timed_out = true;
    }
    EXPECT_TRUE(timed_out);
    EXPECT_EQ(cancelled, 3);
    EXPECT_TRUE(cleaned);
  });
}

TEST(group, g_cancel_is_a_way_to_end) {
  run_on(2, [&]() -> st::task<> {
    std::atomic<int> cancelled = 0;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 4; ++i) g.go(wait_for_ever, &cancelled);
      co_await st::yield();
      g.cancel();
      auto late = g.go(wait_for_ever, &cancelled);  // cancelled before it begins
      EXPECT_TRUE(g.context().is_cancelled());
      co_await st::chan<int>().recv();
      ADD_FAILURE() << "the body is a member as well";
    });
    EXPECT_EQ(cancelled, 5);
  });
}

TEST(group, members_may_start_members) {
  run_on(2, [&]() -> st::task<> {
    std::atomic<int> n = 0;
    co_await st::scope([&](st::group& g) -> st::task<> {
      struct spawn {
        static st::task<> more(st::group& in, std::atomic<int>& count, int depth) {
          ++count;
          if (depth == 0) co_return;
          in.go(more, std::ref(in), std::ref(count), depth - 1);
          in.go(more, std::ref(in), std::ref(count), depth - 1);
        }
      };
      g.go(spawn::more, std::ref(g), std::ref(n), 8);
      co_return;
    });
    EXPECT_EQ(n, (1 << 9) - 1);
  });
}

TEST(group, a_nested_failure_goes_outward_one_level_a_time) {
  run_on(2, [&]() -> st::task<> {
    std::atomic<int> cancelled = 0;
    std::vector<std::string> log;
    try {
      co_await st::scope([&](st::group& outer) -> st::task<> {
        outer.go(wait_for_ever, &cancelled);
        try {
          co_await st::scope([&](st::group& inner) -> st::task<> {
            inner.go(wait_for_ever, &cancelled);
            inner.go(fail_after, 2, "inner");
            co_return;
          });
        } catch (const std::runtime_error& e) {
          log.push_back(e.what());
          EXPECT_EQ(cancelled, 1);  // the outer one does not know yet
          throw std::runtime_error("outer");
        }
      });
    } catch (const std::runtime_error& e) {
      log.push_back(e.what());
    }
    EXPECT_EQ(log, (std::vector<std::string>{"inner", "outer"}));
    EXPECT_EQ(cancelled, 2);
  });
}

TEST(group, a_member_that_swallows_cancellation_still_ends_the_scope) {
  run_on(2, [&]() -> st::task<> {
    int swallowed = 0;
    std::string what;
    try {
      co_await st::scope([&](st::group& g) -> st::task<> {
        g.go([&swallowed]() -> st::task<> {
          for (int i = 0; i < 3; ++i) {  // level-triggered: each wait throws
            try {
              co_await st::chan<int>().recv();
            } catch (const st::cancelled&) {
              ++swallowed;
            }
          }
        });
        g.go(fail_after, 2, "other");
        co_return;
      });
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "other");
    EXPECT_EQ(swallowed, 3);
  });
}

TEST(group, the_handle_of_a_member_has_its_result) {
  run_on(2, [&]() -> st::task<> {
    st::join_handle<int> h;
    co_await st::scope([&](st::group& g) -> st::task<> {
      h = g.go([](int n) -> st::task<int> { co_return n + 1; }, 1);
      co_return;
    });
    EXPECT_TRUE(h.done());
    const int got = co_await h;
    EXPECT_EQ(got, 2);
  });
}

TEST(group, join_of_a_bare_group_throws_the_first_failure_once) {
  run_on(2, [&]() -> st::task<> {
    st::group g;
    g.go(fail_after, 1, "bare");
    std::string what;
    try {
      co_await g.join();
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "bare");
    EXPECT_EQ(g.size(), 0u);
  });
}

TEST(group, scopes_by_the_thousand) {
  const auto n = static_cast<int>(strait_test::scaled(20'000));
  run_on(2, [&]() -> st::task<> {
    std::atomic<int> ran = 0;
    for (int i = 0; i < n; ++i) {
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int k = 0; k < 3; ++k) g.go([&ran] { ++ran; });
        co_return;
      });
    }
    EXPECT_EQ(ran, 3 * n);
  });
}

TEST(group_death_test, destroyed_with_live_members_it_names_their_spawn_sites) {
  EXPECT_DEATH(run_on(1,
                      [&]() -> st::task<> {
                        st::group g;
                        std::atomic<int> none = 0;
                        g.go(wait_for_ever, &none);
                        g.go(wait_for_ever, &none);
                        co_await settle();
                      }),
               "a group was destroyed with 2 live members, spawned at:\n.*group_test.cpp:[0-9]+\n"
               ".*group_test.cpp:[0-9]+\n");
}

}  // namespace
