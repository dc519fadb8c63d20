// run: workers, results, what happens to the others at the end, deadlocks, foreign awaitables.
#include <strait/runtime.hpp>

#include <atomic>
#include <coroutine>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace strait::inline STRAIT_ABI::detail {
struct scheduler_probe {
  static bool all_asleep(const scheduler& s) noexcept {
    return s.idle_.load(std::memory_order_seq_cst) == s.worker_count();
  }
};
}  // namespace strait::inline STRAIT_ABI::detail

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::settle;

const st::detail::scheduler& running_scheduler() { return st::detail::this_thread().w->sched; }

void wait_until_all_sleep(const st::detail::scheduler& s) {
  while (!st::detail::scheduler_probe::all_asleep(s)) std::this_thread::yield();
}

TEST(runtime, run_gives_the_result_of_its_root) {
  const int v = st::run([]() -> st::task<int> { co_return 4; });
  EXPECT_EQ(v, 4);
  const auto p = st::run([] { return std::make_unique<int>(5); });
  EXPECT_EQ(*p, 5);
  const int sum = st::run([](int a, const std::string& b) { return a + std::stoi(b); }, 1, "2");
  EXPECT_EQ(sum, 3);
  st::run([]() -> st::task<> { co_return; });
}

TEST(runtime, run_throws_what_its_root_threw) {
  EXPECT_THROW(st::run([]() -> st::task<> {
                 co_await st::yield();
                 throw std::out_of_range("root");
               }),
               std::out_of_range);
  EXPECT_THROW(st::run([]() -> int { throw std::logic_error("plain"); }), std::logic_error);
}

TEST(runtime, any_number_of_workers_and_any_number_of_runs) {
  for (unsigned workers = 1; workers <= 8; ++workers) {
    for (int again = 0; again < 5; ++again) {
      const int n = run_on(workers, []() -> st::task<int> {
        auto [tx, rx] = st::make_chan<int>(1);
        for (int i = 0; i < 10; ++i) {
          st::go([](st::sender<int> s) -> st::task<> { co_await s.send(1); }, tx);
        }
        tx = {};
        int count = 0;
        while (auto v = co_await rx.recv()) ++count;
        co_return count;
      });
      EXPECT_EQ(n, 10);
    }
  }
}

TEST(runtime, workers_that_have_nothing_to_do_start_and_stop) {
  for (int i = 0; i < 200; ++i) run_on(4, []() -> st::task<> { co_return; });
}

TEST(runtime, runs_in_parallel_threads_end_in_any_order) {
  std::vector<std::thread> threads;
  std::atomic<int> sum = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sum, t] {
      for (int i = 0; i < 20; ++i) {
        run_on(2, [&]() -> st::task<> {
          st::chan<int> c(0);
          auto h = st::go([](st::chan<int> to) -> st::task<> { co_await to.send(1); }, c);
          for (int k = 0; k < t * 10; ++k) co_await st::yield();
          auto v = co_await c.recv();
          sum += *v;
          co_await h;
        });
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(sum, 80);
  EXPECT_EQ(st::live_goroutines(), 0u);
  EXPECT_THROW(st::go([] {}), st::misuse);  // none is left
}

TEST(runtime, run_inside_a_goroutine_is_refused) {
  run_on(1, []() -> st::task<> {
    EXPECT_THROW(st::run([] {}), st::misuse);
    co_return;
  });
}

TEST(runtime, the_rest_is_cancelled_and_joined_when_the_root_ends) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    std::atomic<int> cancelled = 0, cleaned = 0;
    const auto wait = [&](int kind) -> st::task<> {
      st::chan<int> c(0);
      try {
        if (kind == 0) co_await c.recv();
        if (kind == 1) co_await c.send(1);
        if (kind == 2) co_await st::sleep(1h);
        if (kind == 3) co_await st::chan<int>().recv();
        if (kind == 4) co_await st::select{c.recv(), st::after(1h)};
        if (kind == 5) {
          for (;;) co_await st::yield();
        }
      } catch (const st::cancelled&) {
        ++cancelled;
        throw;
      }
    };
    const auto clean = [&]() -> st::task<> {
      try {
        co_await st::sleep(1h);
      } catch (const st::cancelled&) {
        ++cancelled;
      }
      co_await st::shield(st::sleep(1ms));
      ++cleaned;
    };
    run_on(workers, [&]() -> st::task<> {
      for (int i = 0; i < 24; ++i) st::go(std::ref(wait), i % 6);
      st::go(std::ref(clean));
      co_await settle();
    });
    EXPECT_EQ(cancelled, 25);
    EXPECT_EQ(cleaned, 1);
  }
}

TEST(runtime, those_are_joined_as_well_when_the_root_fails) {
  std::atomic<int> ended = 0;
  EXPECT_THROW(run_on(2,
                      [&]() -> st::task<> {
                        struct at_end {
                          std::atomic<int>& n;
                          ~at_end() { ++n; }
                        };
                        for (int i = 0; i < 10; ++i) {
                          st::go([&]() -> st::task<> {
                            const at_end guard{ended};
                            co_await st::sleep(1h);
                          });
                        }
                        co_await settle();
                        throw std::runtime_error("root");
                      }),
               std::runtime_error);
  EXPECT_EQ(ended, 10);
}

TEST(runtime, live_goroutines_counts) {
  EXPECT_EQ(st::live_goroutines(), 0u);
  run_on(1, []() -> st::task<> {
    EXPECT_EQ(st::live_goroutines(), 1u);
    st::chan<int> c(0);
    std::vector<st::join_handle<>> all;
    for (int i = 0; i < 9; ++i) {
      all.push_back(st::go([](st::chan<int> from) -> st::task<> { co_await from.recv(); }, c));
    }
    EXPECT_EQ(st::live_goroutines(), 10u);
    c.close();
    for (auto& h : all) co_await h;
    co_await settle();
    EXPECT_EQ(st::live_goroutines(), 1u);
  });
}

// --- deadlock -----------------------------------------------------------------------------------

std::string deadlock_of(unsigned workers, st::task<> (*root)()) {
  testing::internal::CaptureStderr();
  std::string what;
  try {
    run_on(workers, root);
  } catch (const st::deadlock& e) {
    what = e.what();
  }
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_EQ(printed, what);
  return what;
}

TEST(runtime, a_deadlock_names_every_wait_with_reason_and_line) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    const std::string text = deadlock_of(workers, []() -> st::task<> {
      st::chan<int> c(0);
      auto sends =
          st::go([](st::chan<int>) -> st::task<> { co_await st::chan<int>(0).send(1); }, c);
      auto picks = st::go(
          [](st::chan<int> from) -> st::task<> {
            co_await st::select{from.recv(), st::chan<int>().recv()};
          },
          c);
      co_await st::scope([&](st::group& g) -> st::task<> {
        g.go([](st::join_handle<>& h) -> st::task<> { co_await h; }, std::ref(sends));
        co_return;
      });
    });
    const auto expect = [&](const std::string& part) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
    };
    expect("strait: deadlock: every goroutine waits, and nothing can end any of the waits\n");
    expect("4 goroutines\n");
    expect("send to a channel 0x");
    expect("select at ");
    expect("join of a goroutine 0x");
    expect("join of a group 0x");
    std::size_t places = 0;
    for (std::size_t at = 0; (at = text.find("runtime_test.cpp:", at)) != std::string::npos; ++at) {
      ++places;
    }
    EXPECT_GE(places, 7u) << text;  // where each waits, and where each but the root was spawned
  }
}

TEST(runtime, a_send_to_nobody_and_a_receive_from_nobody) {
  const std::string text = deadlock_of(2, []() -> st::task<> { co_await st::chan<int>(0).recv(); });
  EXPECT_NE(text.find("1 goroutines\n  receive from a channel 0x"), std::string::npos) << text;
}

TEST(runtime, the_waits_of_a_deadlock_are_cancelled_so_that_all_is_cleaned_up) {
  bool cleaned = false;
  testing::internal::CaptureStderr();
  EXPECT_THROW(run_on(2,
                      [&]() -> st::task<> {
                        try {
                          co_await st::chan<int>().recv();
                        } catch (const st::cancelled&) {
                          cleaned = true;
                          throw;
                        }
                      }),
               st::deadlock);
  testing::internal::GetCapturedStderr();
  EXPECT_TRUE(cleaned);
}

TEST(runtime, a_deadlock_is_found_by_whichever_workers_are_there) {
  testing::internal::CaptureStderr();
  for (int i = 0; i < 300; ++i) {
    EXPECT_THROW(run_on(1 + static_cast<unsigned>(i) % 4,
                        []() -> st::task<> {
                          st::chan<int> c(0);
                          for (int k = 0; k < 3; ++k) {
                            st::go(
                                [](st::chan<int> from) -> st::task<> {
                                  co_await st::yield();
                                  co_await from.recv();
                                },
                                c);
                          }
                          co_await c.recv();
                        }),
                 st::deadlock);
  }
  testing::internal::GetCapturedStderr();
}

TEST(runtime, a_sleeper_a_timer_and_outside_work_are_no_deadlock) {
  run_on(2, []() -> st::task<> {
    co_await st::sleep(5ms);
    st::timer t(5ms);
    co_await t.recv();
    st::chan<int> c(0);
    st::outside_work alive;
    auto& sched = running_scheduler();
    std::thread outside([&sched, end = st::sender<int>(c), work = std::move(alive)]() mutable {
      wait_until_all_sleep(sched);
      while (end.try_send(1) == st::send_result::full) std::this_thread::yield();
    });
    co_await c.recv();
    outside.join();
  });
}

TEST(runtime, a_deadlock_is_found_when_the_outside_work_ends_without_a_sign) {
  testing::internal::CaptureStderr();
  std::thread outside;
  EXPECT_THROW(run_on(2,
                      [&]() -> st::task<> {
                        st::outside_work alive;
                        auto& sched = running_scheduler();
                        outside = std::thread(
                            [&sched, work = std::move(alive)] { wait_until_all_sleep(sched); });
                        co_await st::chan<int>(0).recv();
                      }),
               st::deadlock);
  outside.join();
  testing::internal::GetCapturedStderr();
}

TEST(runtime, dump_writes_who_waits_and_where) {
  run_on(1, []() -> st::task<> {
    st::chan<int> c(0);
    auto h = st::go([](st::chan<int> from) -> st::task<> { co_await from.recv(); }, c);
    co_await settle();
    std::ostringstream out;
    st::dump(out);
    EXPECT_NE(out.str().find("receive from a channel 0x"), std::string::npos) << out.str();
    EXPECT_NE(out.str().find("runtime_test.cpp:"), std::string::npos) << out.str();
    EXPECT_EQ(out.str().find("2 goroutines\n"), 0u) << out.str();
    c.close();
    co_await h;
  });
}

// --- what is not ours ---------------------------------------------------------------------------

// Resumes on a thread of its own.
struct on_thread {
  int value;
  std::thread* thread;

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    // Resumed, this awaitable is gone, and `thread` belongs to the goroutine.
    auto gate = std::make_shared<std::mutex>();
    const std::lock_guard hold(*gate);
    std::thread* const out = thread;
    *out = std::thread([h, gate] {
      {
        const std::lock_guard assigned(*gate);
      }
      h.resume();
    });
  }
  int await_resume() const {
    if (value < 0) throw std::runtime_error("foreign");
    return value;
  }
};
struct has_member_operator {
  int value;
  std::thread* thread;
  on_thread operator co_await() const { return {value, thread}; }
};

TEST(runtime, a_foreign_awaitable_resumes_on_a_worker) {
  for (const unsigned workers : {1u, 2u}) {
    run_on(workers, []() -> st::task<> {
      for (int i = 0; i < 50; ++i) {
        std::thread thread;
        const on_thread awaitable{i, &thread};
        const int v = co_await on_thread(awaitable);
        EXPECT_EQ(v, i);
        EXPECT_NE(std::this_thread::get_id(), thread.get_id());
        EXPECT_NO_THROW(static_cast<void>(st::context::current()));
        thread.join();
        const has_member_operator maker{i, &thread};
        const int w = co_await has_member_operator(maker);
        EXPECT_EQ(w, i);
        thread.join();
      }
    });
  }
}

TEST(runtime, a_foreign_awaitable_may_throw_or_be_ready) {
  run_on(2, []() -> st::task<> {
    std::thread thread;
    const on_thread bad{-1, &thread};
    std::string what;
    try {
      co_await on_thread(bad);
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    thread.join();
    EXPECT_EQ(what, "foreign");
    co_await std::suspend_never();
  });
}

TEST(runtime, the_last_thing_of_a_run_may_come_from_outside) {
  for (int i = 0; i < 300; ++i) {
    std::thread thread;
    run_on(2, [&]() -> st::task<> {
      const on_thread awaitable{1, &thread};
      co_await on_thread(awaitable);
    });
    thread.join();
  }
}

// --- fairness -----------------------------------------------------------------------------------

TEST(runtime, two_that_always_find_each_other_ready_starve_nobody) {
  run_on(1, []() -> st::task<> {
    bool stop = false;
    st::chan<int> c(64);
    const auto spin = [&stop](st::chan<int> ch) -> st::task<> {
      while (!stop) {
        co_await ch.send(1);
        co_await ch.recv();
      }
    };
    auto a = st::go(spin, c);
    auto b = st::go(spin, c);
    co_await st::sleep(1ms);                             // a timer
    for (int i = 0; i < 100; ++i) co_await st::yield();  // a third
    stop = true;
    co_await a;
    co_await b;
  });
}

TEST(runtime, a_goroutine_behind_a_long_computation_is_freed) {
  run_on(2, []() -> st::task<> {
    std::atomic<bool> ran = false;
    auto h = st::go([&] { ran = true; });    // in this worker's next slot
    while (!ran) std::this_thread::yield();  // never gives the worker back
    co_await h;
  });
}

}  // namespace
