// Step 5: what waits can be told to stop.
#include <cstdio>

#include <strait/strait.hpp>

namespace st = strait;
using namespace std::chrono_literals;

st::task<int> answer(std::chrono::milliseconds thinking) {
  co_await st::sleep(thinking);
  co_return 42;
}

// A cancelled wait throws st::cancelled, which is no std::exception: `catch (const
// std::exception&)` lets it through, destructors run, and the goroutine ends.
st::task<> logger(st::receiver<int> in, st::sender<int> disk) {
  int lines = 0;
  try {
    while (auto line = co_await in.recv()) lines += *line;
  } catch (const st::cancelled&) {
    std::printf("logger: told to stop\n");  // C++ allows no co_await in here
  }
  // From now on every wait throws again, but for one in a shield: that is for the last words.
  co_await st::shield(disk.send(lines));
}

st::task<> root() {
  // A deadline around anything. What runs too long is cancelled and has taken nothing.
  const int quick = co_await st::with_timeout(1h, answer(1ms));
  std::printf("in time: %d\n", quick);
  try {
    co_await st::with_timeout(1ms, answer(1h));
  } catch (const st::timed_out& e) {
    std::printf("too late: %s\n", e.what());
  }

  // The same without an exception here: the outcome as a value.
  auto outcome = co_await st::as_result(st::with_timeout(1ms, answer(1h)));
  std::printf("outcome: %s\n", outcome ? "a value" : "an error");

  // By hand. Goroutines inherit the context they are started in, so one call stops them all.
  st::chan<int> lines(0);
  st::chan<int> disk(1);
  st::group g;
  g.go(logger, lines, disk);
  for (int i = 0; i < 3; ++i) co_await lines.send(1);
  g.cancel();
  co_await g.join();
  auto saved = co_await disk.recv();
  std::printf("cancelled after %d lines, all saved\n", *saved);
}

int main() { st::run(root); }
