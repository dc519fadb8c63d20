// A million goroutines parked on one channel, what each costs, and that the memory comes back.
#include <strait/strait.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "support.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

st::task<std::uint64_t> park(st::receiver<int> from) {
  auto v = co_await from.recv();
  co_return v ? 1u : 0u;
}

st::task<> wait_for_end(st::receiver<int> from) {
  auto v = co_await from.recv();
  (void)v;
}

TEST(parked, a_million_goroutines_on_a_channel) {
  strait_test::extend_limit(std::chrono::seconds(600));
  const std::size_t n = strait_test::scaled(1'000'000);
  st::run(st::runtime_options().workers(2), [n]() -> st::task<> {
    auto [to, from] = st::make_chan<int>(0);
    const std::size_t before = resident_bytes();
    for (std::size_t i = 0; i < n; ++i) st::go(wait_for_end, from);
    // The last one to arrive is behind all others: when it has got a value, they all wait.
    auto last = st::go(park, from);
    EXPECT_EQ(st::live_goroutines(), n + 2);
    while (from.len() == 0 && to.try_send(0) != st::send_result::sent) co_await st::yield();
    for (int i = 0; i < 200; ++i) co_await st::yield();
    const std::size_t after = resident_bytes();
    std::printf("%zu parked goroutines: %zu bytes each\n", n, (after - before) / n);
    if (!strait_test::sanitized()) {
      EXPECT_LT((after - before) / n, 512u);
    }
    to.close();
    const auto got = co_await last;
    EXPECT_LE(got, 1u);
    while (st::live_goroutines() > 1) co_await st::yield();
    // What another worker freed comes back when its owner looks next: the watchdog waits as well.
    while (!strait_test::sanitized() && resident_bytes() > before + (after - before) / 4) {
      co_await st::sleep(1ms);
    }
  });
}

}  // namespace
