// barrier: nobody goes on before all are there, meeting after meeting.
#include <strait/sync/barrier.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;

st::task<> meet_often(int n, int rounds) {
  int meetings = 0;
  std::atomic<int> there{0};
  st::barrier b(static_cast<std::size_t>(n), [&] {
    EXPECT_EQ(there, n * (meetings + 1)) << "before all had arrived";
    ++meetings;
  });
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 0; i < n; ++i) {
      g.go([&, i]() -> st::task<> {
        for (int k = 0; k < rounds; ++k) {
          ++there;
          co_await b.arrive_and_wait();
          EXPECT_GT(meetings, k);
          EXPECT_LE(meetings, k + 1) << "the next meeting without this one";
          if ((i + k) % 3 == 0) co_await st::yield();
        }
      });
    }
    co_return;
  });
  EXPECT_EQ(meetings, rounds);
}

TEST(barrier, all_meet_again_and_again) {
  for (unsigned workers : {1u, 2u, 4u}) {
    for (int n : {1, 2, 7}) run_on(workers, meet_often, n, static_cast<int>(scaled(500)));
  }
  EXPECT_FALSE(st::sim::explore(1, scaled(300), []() -> st::task<> { co_await meet_often(4, 5); }));
}

TEST(barrier, who_drops_out_is_not_waited_for_later) {
  run_on(2, []() -> st::task<> {
    st::barrier b(3);
    auto one = st::go([&]() -> st::task<> {
      for (int i = 0; i < 3; ++i) co_await b.arrive_and_wait();
    });
    auto two = st::go([&]() -> st::task<> {
      for (int i = 0; i < 3; ++i) co_await b.arrive_and_wait();
    });
    b.arrive_and_drop();
    co_await one;
    co_await two;
    b.arrive_and_drop();
    b.arrive_and_drop();
    std::string error;
    try {
      b.arrive_and_drop();
    } catch (const st::misuse& e) {
      error = e.what();
    }
    EXPECT_NE(error.find("barrier"), std::string::npos);
  });
}

TEST(barrier, a_cancelled_arrival_counts) {
  st::sim::run(1, []() -> st::task<> {
    st::barrier b(2);
    bool over = false;
    try {
      co_await st::with_timeout(1s, b.arrive_and_wait());
    } catch (const st::timed_out&) {
      over = true;
    }
    EXPECT_TRUE(over);
    co_await b.arrive_and_wait();  // with the one above
    EXPECT_THROW(st::barrier(0), std::invalid_argument);
  });
}

TEST(barrier, what_the_meeting_throws_goes_to_the_last_and_the_others_go_on) {
  run_on(2, []() -> st::task<> {
    st::barrier b(2, [] { throw std::runtime_error("no meeting"); });
    std::atomic<int> failed{0}, fine{0};
    const auto come = [&]() -> st::task<> {
      try {
        co_await b.arrive_and_wait();
        ++fine;
      } catch (const std::runtime_error&) {
        ++failed;
      }
    };
    auto one = st::go(come), two = st::go(come);
    co_await one;
    co_await two;
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(fine, 1);
  });
}

}  // namespace
