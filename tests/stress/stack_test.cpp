// test: flags=-O0 -fsanitize=address
//
// No stack grows with the number of operations: everything here runs on a 256 KiB stack, without
// optimisation and under AddressSanitizer, where a symmetric transfer is an ordinary call and
// frames are large.
#include <strait/strait.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <cstdint>

#include "support.hpp"

namespace {

namespace st = strait;

/// Runs `f()` in a thread with a stack of 256 KiB.
template <class F>
void on_small_stack(F f) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* call) -> void* {
                  (*static_cast<F*>(call))();
                  return nullptr;
                },
                &f),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

st::task<std::uint64_t> next(std::uint64_t n) { co_return n + 1; }

st::task<std::uint64_t> call_often(std::uint64_t n) {
  std::uint64_t sum = 0;
  while (sum < n) sum = co_await next(sum);
  co_return sum;
}

st::task<std::uint64_t> call_deep(std::uint64_t n) {
  if (n == 0) co_return 0;
  const std::uint64_t below = co_await call_deep(n - 1);
  co_return below + 1;
}

st::task<> produce(st::sender<std::uint64_t> to, std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) co_await to.send(i);
}

st::task<std::uint64_t> pass(std::uint64_t n, std::size_t capacity) {
  auto [to, from] = st::make_chan<std::uint64_t>(capacity);
  auto producer = st::go(produce, std::move(to), n);
  std::uint64_t sum = 0;
  while (auto v = co_await from.recv()) sum += *v;
  co_await producer;
  co_return sum;
}

TEST(stack, ten_million_values_through_one_channel) {
  strait_test::extend_limit(std::chrono::seconds(600));
  on_small_stack([] {
    const std::uint64_t n = strait_test::scaled(10'000'000);
    EXPECT_EQ(st::run(st::runtime_options().workers(1), pass, n, std::size_t{64}), n * (n - 1) / 2);
  });
}

TEST(stack, a_million_rendezvous) {
  on_small_stack([] {
    const std::uint64_t n = strait_test::scaled(1'000'000);
    EXPECT_EQ(st::run(st::runtime_options().workers(1), pass, n, std::size_t{0}), n * (n - 1) / 2);
  });
}

TEST(stack, a_million_calls_that_return_at_once) {
  on_small_stack([] {
    const std::uint64_t n = strait_test::scaled(1'000'000);
    EXPECT_EQ(st::run(st::runtime_options().workers(1), call_often, n), n);
  });
}

TEST(stack, a_hundred_thousand_calls_inside_each_other) {
  on_small_stack([] {
    const std::uint64_t n = strait_test::scaled(100'000);
    EXPECT_EQ(st::run(st::runtime_options().workers(1), call_deep, n), n);
  });
}

}  // namespace
