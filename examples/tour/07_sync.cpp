// Step 7: what goroutines share after all, and how they meet.
#include <cstdio>
#include <deque>
#include <string>

#include <strait/strait.hpp>

namespace st = strait;

st::task<std::string> load() {
  co_await st::yield();
  std::printf("loading\n");
  co_return "settings";
}

st::task<> root() {
  // A mutex suspends the goroutine, not the thread; its guard may be held over a co_await.
  st::mutex lock;
  int total = 0;
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 1; i <= 100; ++i) {
      g.go([&, i]() -> st::task<> {
        auto hold = co_await lock.lock();
        const int before = total;
        co_await st::yield();
        total = before + i;
      });
    }
    co_return;
  });
  std::printf("under the lock: %d\n", total);

  // Made by whoever needs it first, while the others wait for it.
  st::once_value settings(load);
  co_await st::scope([&](st::group& g) -> st::task<> {
    for (int i = 0; i < 3; ++i) g.go([&]() -> st::task<> { co_await settings.get(); });
    co_return;
  });
  const std::string& loaded = co_await settings.get();
  std::printf("loaded once: %s\n", loaded.c_str());

  // A condvar waits for what others change under its mutex. (A channel would do here, and better.)
  st::condvar filled;
  std::deque<int> queue;
  auto consumer = st::go([&]() -> st::task<int> {
    auto hold = co_await lock.lock();
    co_await filled.wait(hold, [&] { return queue.size() == 3; });
    co_return queue.front() + queue.back();
  });
  for (int i = 1; i <= 3; ++i) {
    auto hold = co_await lock.lock();
    queue.push_back(i);
    filled.notify_one();
  }
  const int ends = co_await consumer;
  std::printf("first and last: %d\n", ends);
}

int main() { st::run(root); }
