// condvar: who is woken, that no wake-up is lost or made up, and that the mutex is always held
// after.
#include <strait/sync/condvar.hpp>

#include <chrono>
#include <deque>
#include <string>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;
using strait_test::settle;

st::task<> wait_and_note(st::mutex& m, st::condvar& cv, std::string& log, char name) {
  auto hold = co_await m.lock();
  co_await cv.wait(hold);
  EXPECT_TRUE(hold);
  log += name;
}

TEST(condvar, notify_one_wakes_the_longest_waiter_and_only_that) {
  run_on(1, []() -> st::task<> {
    st::mutex m;
    st::condvar cv;
    std::string log;
    std::vector<st::join_handle<void>> all;
    for (char name : {'a', 'b', 'c'}) {
      all.push_back(st::go(wait_and_note, std::ref(m), std::ref(cv), std::ref(log), name));
      co_await settle();
    }
    EXPECT_TRUE(m.try_lock()) << "waiting holds no lock";
    cv.notify_one();
    co_await settle();
    EXPECT_EQ(log, "a");
    cv.notify_one();
    co_await settle();
    EXPECT_EQ(log, "ab");
    cv.notify_one();
    cv.notify_one();  // nobody: it is forgotten
    co_await settle();
    EXPECT_EQ(log, "abc");
    for (auto& h : all) co_await h;
  });
}

TEST(condvar, notify_all_wakes_all_one_after_another) {
  run_on(2, []() -> st::task<> {
    st::mutex m;
    st::condvar cv;
    int waiting = 0, inside = 0, done = 0;
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < 20; ++i) {
        g.go([&]() -> st::task<> {
          auto hold = co_await m.lock();
          ++waiting;
          co_await cv.wait(hold);
          EXPECT_EQ(++inside, 1);
          co_await st::yield();
          --inside;
          ++done;
        });
      }
      for (bool all = false; !all;) {
        auto hold = co_await m.lock();
        all = waiting == 20;
        hold.unlock();
        co_await st::yield();
      }
      cv.notify_all();
    });
    EXPECT_EQ(done, 20);
  });
}

/// A bounded buffer, the classic: nothing is lost, whatever the schedule.
st::task<> bounded_buffer(int pairs, int each) {
  st::mutex m;
  st::condvar not_full, not_empty;
  std::deque<int> buffer;
  long sum = 0;
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 0; i < pairs; ++i) {
      g.go([&]() -> st::task<> {
        for (int k = 1; k <= each; ++k) {
          auto hold = co_await m.lock();
          co_await not_full.wait(hold, [&] { return buffer.size() < 3; });
          buffer.push_back(k);
          not_empty.notify_one();
        }
      });
      g.go([&]() -> st::task<> {
        for (int k = 0; k < each; ++k) {
          auto hold = co_await m.lock();
          co_await not_empty.wait(hold, [&] { return !buffer.empty(); });
          sum += buffer.front();
          buffer.pop_front();
          not_full.notify_one();
        }
      });
    }
    co_return;
  });
  EXPECT_EQ(sum, long{pairs} * each * (each + 1) / 2);
}

TEST(condvar, a_bounded_buffer_loses_nothing) {
  for (unsigned workers : {1u, 2u, 4u}) {
    run_on(workers, bounded_buffer, 4, static_cast<int>(scaled(2000)));
  }
  EXPECT_FALSE(
      st::sim::explore(1, scaled(300), []() -> st::task<> { co_await bounded_buffer(2, 8); }));
}

TEST(condvar, a_cancelled_wait_ends_with_the_mutex_held) {
  st::sim::run(1, []() -> st::task<> {
    st::mutex m;
    st::condvar cv;
    auto hold = co_await m.lock();
    auto holder = st::go([&]() -> st::task<> {  // has the mutex when the time is over
      auto mine = co_await m.lock();
      co_await st::sleep(3s);
    });
    const auto start = st::now();
    try {
      co_await st::with_timeout(1s, cv.wait(hold));
      ADD_FAILURE() << "nobody notified";
    } catch (const st::timed_out&) {
    }
    EXPECT_EQ(st::now() - start, 3s);
    EXPECT_TRUE(hold);
    EXPECT_FALSE(m.try_lock());
    hold.unlock();
    co_await holder;
  });
}

TEST(condvar, a_notification_is_for_somebody_who_is_not_cancelled) {
  // Two wait, and one is notified in the moment in which the first one is cancelled: it takes the
  // notification, or the other does.
  int taken_by_first = 0, taken_by_second = 0;
  const auto race = [&]() -> st::task<> {
    st::mutex m;
    st::condvar cv;
    st::cancel_source source, never;
    const auto waits = [&](const st::cancel_source& under) -> st::task<bool> {
      auto hold = co_await m.lock();
      try {
        co_await st::with_context(under, cv.wait(hold));
        co_return true;
      } catch (const st::cancelled&) {
      }
      EXPECT_TRUE(hold);
      co_return false;
    };
    auto first = st::go(waits, std::ref(source));
    co_await st::sleep(1ms);  // virtual: it waits now
    auto second = st::go(waits, std::ref(never));
    co_await st::sleep(1ms);
    auto cancels = st::go([&] { source.cancel(); });
    auto notifies = st::go([&] { cv.notify_one(); });
    const bool first_woken = co_await first;
    co_await notifies;
    if (first_woken) cv.notify_one();
    const bool second_woken = co_await second;
    EXPECT_TRUE(second_woken);
    ++(first_woken ? taken_by_first : taken_by_second);
    co_await cancels;
  };
  EXPECT_FALSE(st::sim::explore(1, scaled(1000), race));
  EXPECT_GT(taken_by_first, 0);
  EXPECT_GT(taken_by_second, 0);
}

TEST(condvar, a_wait_needs_the_lock) {
  run_on(1, []() -> st::task<> {
    st::condvar cv;
    st::mutex::guard nothing;
    bool refused = false;
    try {
      co_await cv.wait(nothing);
    } catch (const st::misuse& e) {
      refused = std::string(e.what()).find("condvar") != std::string::npos;
    }
    EXPECT_TRUE(refused);
  });
}

}  // namespace
