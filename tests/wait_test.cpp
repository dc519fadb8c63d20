// Operations on plain threads.
#include <strait/wait.hpp>

#include <thread>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;

TEST(wait, threads_talk_over_a_channel_without_a_runtime) {
  st::chan<int> c(0);
  std::thread producer([c] {
    for (int i = 0; i < 1000; ++i) st::wait(c.send(i));
    c.close();
  });
  int sum = 0;
  while (auto v = st::wait(c.recv())) sum += *v;
  producer.join();
  EXPECT_EQ(sum, 499500);
}

TEST(wait, a_thread_and_a_goroutine_talk) {
  st::chan<int> to(0), from(0);
  std::thread thread([to, from] {
    for (int i = 0; i < 500; ++i) {
      st::wait(to.send(i));
      auto v = st::wait(from.recv());
      EXPECT_EQ(*v, 2 * i);
    }
    to.close();
  });
  strait_test::run_on(2, [=]() -> st::task<> {
    st::outside_work thread_works;
    while (auto v = co_await to.recv()) co_await from.send(2 * *v);
  });
  thread.join();
}

TEST(wait, select_and_timeouts_work_on_a_thread) {
  st::chan<int> c(0);
  const auto start = std::chrono::steady_clock::now();
  auto s = st::wait(st::select{c.recv(), st::after(5ms)});
  EXPECT_EQ(s.index(), 1u);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);
  std::thread sender([c] { st::wait(c.send(3)); });
  auto t = st::wait(st::select{c.recv(), st::after(10s)});
  EXPECT_EQ(t.index(), 0u);
  EXPECT_EQ(*t.get<0>(), 3);
  sender.join();
  st::wait(st::sleep(1ms));
}

TEST(wait, a_goroutine_can_be_joined_from_a_thread) {
  int got = 0;
  strait_test::run_on(2, [&]() -> st::task<> {
    auto job = st::go([]() -> st::task<int> {
      co_await st::sleep(1ms);
      co_return 5;
    });
    st::chan<int> done(1);
    std::thread joiner([&] {
      got = st::wait(job);
      st::wait(done.send(1));
    });
    st::outside_work thread_works;
    co_await done.recv();
    joiner.join();
  });
  EXPECT_EQ(got, 5);
}

TEST(wait, throws_on_a_worker) {
  strait_test::run_on(1, []() -> st::task<> {
    st::chan<int> c(0);
    EXPECT_THROW(st::wait(c.recv()), st::misuse);
    co_return;
  });
}

TEST(wait, what_the_operation_throws_comes_out) {
  st::chan<int> c(0);
  c.close();
  EXPECT_THROW(st::wait(c.send(1)), st::closed);
  EXPECT_FALSE(st::wait(c.recv()));
}

}  // namespace
