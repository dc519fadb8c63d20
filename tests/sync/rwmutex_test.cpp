// rwmutex: who may be inside together, who goes first, and what a cancellation leaves.
#include <strait/sync/rwmutex.hpp>

#include <chrono>
#include <string>
#include <type_traits>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;
using strait_test::settle;

static_assert(!std::is_copy_constructible_v<st::rwmutex::guard>);
static_assert(!std::is_same_v<st::rwmutex::guard, st::rwmutex::shared_guard>);

/// Takes the lock in one form, notes its name, and holds it until it may leave.
st::task<> reader(st::rwmutex& m, std::string& log, char name, st::receiver<int> leave) {
  auto hold = co_await m.lock_shared();
  log += name;
  co_await leave.recv();
}
st::task<> writer(st::rwmutex& m, std::string& log, char name, st::receiver<int> leave) {
  auto hold = co_await m.lock();
  log += name;
  co_await leave.recv();
}

TEST(rwmutex, try_forms_tell_who_is_inside) {
  st::rwmutex m;
  {
    auto r1 = m.try_lock_shared();
    auto r2 = m.try_lock_shared();
    EXPECT_TRUE(r1 && r2);
    EXPECT_FALSE(m.try_lock());
    r1.unlock();
    EXPECT_FALSE(r1);
    EXPECT_FALSE(m.try_lock());
    auto moved = std::move(r2);
    EXPECT_FALSE(r2);
    EXPECT_TRUE(moved);
  }
  auto w = m.try_lock();
  EXPECT_TRUE(w);
  EXPECT_FALSE(m.try_lock());
  EXPECT_FALSE(m.try_lock_shared());
  w = {};
  EXPECT_TRUE(m.try_lock());
}

TEST(rwmutex, a_waiting_writer_keeps_later_readers_out_and_lets_them_in_before_the_next_writer) {
  run_on(1, []() -> st::task<> {
    st::rwmutex m;
    std::string log;
    st::chan<int> leave_a(0), leave_1(0), leave_2(0), leave_b(0);
    auto a = st::go(reader, std::ref(m), std::ref(log), 'a', leave_a);
    co_await settle();
    auto one = st::go(writer, std::ref(m), std::ref(log), '1', leave_1);
    co_await settle();
    auto b = st::go(reader, std::ref(m), std::ref(log), 'b', leave_b);
    auto c = st::go(reader, std::ref(m), std::ref(log), 'c', leave_b);
    auto two = st::go(writer, std::ref(m), std::ref(log), '2', leave_2);
    co_await settle();
    EXPECT_EQ(log, "a");
    EXPECT_FALSE(m.try_lock_shared()) << "a writer waits";
    leave_a.close();
    co_await settle();
    EXPECT_EQ(log, "a1");
    leave_1.close();
    co_await settle();
    EXPECT_EQ(log, "a1bc") << "the readers that waited, both at once";
    leave_b.close();
    co_await settle();
    EXPECT_EQ(log, "a1bc2");
    leave_2.close();
    co_await a;
    co_await one;
    co_await b;
    co_await c;
    co_await two;
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(rwmutex, a_writer_that_gives_up_lets_the_readers_in_that_waited_behind_it) {
  st::sim::run(1, []() -> st::task<> {
    st::rwmutex m;
    auto inside = co_await m.lock_shared();
    auto impatient = st::go([&]() -> st::task<> {
      try {
        auto hold = co_await st::with_timeout(1s, m.lock());
        ADD_FAILURE() << "a reader is inside";
      } catch (const st::timed_out&) {
      }
    });
    co_await st::sleep(500ms);
    bool in = false;
    auto behind = st::go([&]() -> st::task<> {
      auto hold = co_await m.lock_shared();
      in = true;
    });
    co_await st::sleep(100ms);
    EXPECT_FALSE(in);
    co_await behind;
    EXPECT_TRUE(in);
    co_await impatient;
    inside.unlock();
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(rwmutex, both_forms_are_cases_of_select_that_take_nothing_when_they_lose) {
  run_on(2, []() -> st::task<> {
    st::rwmutex a, b;
    auto hold = co_await a.lock();
    {
      auto s = co_await st::select{a.lock_shared(), b.lock()};
      EXPECT_EQ(s.index(), 1u);
      EXPECT_FALSE(b.try_lock_shared());
    }
    EXPECT_TRUE(b.try_lock());
    {
      auto s = co_await st::select{a.lock(), b.lock_shared(), st::otherwise};
      EXPECT_EQ(s.index(), 1u);
      EXPECT_TRUE(b.try_lock_shared());
    }
    hold.unlock();
    EXPECT_TRUE(a.try_lock());
  });
}

TEST(rwmutex, a_case_that_won_and_was_not_asked_gives_the_lock_back) {
  run_on(1, []() -> st::task<> {
    st::rwmutex m;
    for (bool shared : {false, true}) {
      st::select_list list;
      if (shared) {
        list.add(m.lock_shared());
      } else {
        list.add(m.lock());
      }
      const std::size_t won = co_await list;
      EXPECT_EQ(won, 0u);
    }
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(rwmutex, a_cancelled_wait_holds_nothing) {
  st::sim::run(1, []() -> st::task<> {
    st::rwmutex m;
    auto hold = co_await m.lock();
    for (int i = 0; i < 2; ++i) {
      try {
        if (i == 0) {
          auto r = co_await st::with_timeout(1s, m.lock_shared());
        } else {
          auto w = co_await st::with_timeout(1s, m.lock());
        }
        ADD_FAILURE() << "it is held";
      } catch (const st::timed_out&) {
      }
    }
    hold.unlock();
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(rwmutex, plain_threads_take_part) {
  st::rwmutex m;
  auto w = st::wait(m.lock());
  EXPECT_FALSE(m.try_lock_shared());
  w.unlock();
  auto r = st::wait(m.lock_shared());
  EXPECT_TRUE(m.try_lock_shared());
}

/// Whatever the schedule: no writer beside anybody, and nothing taken at the end.
st::task<> hammer(int goroutines, int rounds) {
  st::rwmutex m;
  std::atomic<int> inside{0};  // readers count 1, a writer 1000
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 0; i < goroutines; ++i) {
      g.go([&, i]() -> st::task<> {
        for (int k = 0; k < rounds; ++k) {
          if ((i + k) % 4 == 0) {
            auto hold = co_await m.lock();
            EXPECT_EQ(inside += 1000, 1000);
            if (k % 3 == 0) co_await st::yield();
            inside -= 1000;
          } else if ((i + k) % 5 == 0) {
            try {
              auto hold = co_await st::with_timeout(10us, m.lock());
              EXPECT_EQ(inside += 1000, 1000);
              inside -= 1000;
            } catch (const st::timed_out&) {
            }
          } else {
            auto hold = co_await m.lock_shared();
            EXPECT_LT(++inside, 1000);
            if (k % 3 == 0) co_await st::yield();
            --inside;
          }
        }
      });
    }
    co_return;
  });
  EXPECT_EQ(inside, 0);
  EXPECT_TRUE(m.try_lock());
}

TEST(rwmutex, writers_are_alone_on_any_number_of_workers) {
  for (unsigned workers : {1u, 2u, 4u}) {
    run_on(workers, hammer, 8, static_cast<int>(scaled(3000)));
  }
}
TEST(rwmutex, writers_are_alone_in_every_schedule) {
  EXPECT_FALSE(st::sim::explore(1, scaled(300), []() -> st::task<> { co_await hammer(5, 12); }));
}

}  // namespace
