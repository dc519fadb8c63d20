// Step 4: a scope ends only after everything that was started in it.
#include <array>
#include <cstdio>
#include <span>
#include <stdexcept>

#include <strait/strait.hpp>

namespace st = strait;
using namespace std::chrono_literals;

st::task<> fill(std::span<int> part, int value) {
  for (int& each : part) each = value;
  co_return;
}

struct farewell {
  ~farewell() { std::printf("patient: stopped, and cleaned up\n"); }
};

st::task<> patient(st::sender<bool> started) {
  farewell on_exit;
  co_await started.send(true);
  co_await st::sleep(1h);
  std::printf("patient: never said\n");
}

st::task<> hasty(st::receiver<bool> other_started) {
  co_await other_started.recv();
  throw std::runtime_error("hasty: out of luck");
}

st::task<> root() {
  // The children use this array by reference. They may: it outlives the scope, and the scope
  // outlives them.
  std::array<int, 6> numbers{};
  co_await st::scope([&](st::group& g) -> st::task<> {
    g.go(fill, std::span(numbers).first(3), 1);
    g.go(fill, std::span(numbers).last(3), 2);
    co_return;
  });
  for (int n : numbers) std::printf("%d ", n);
  std::printf("\n");

  // The first exception stops the siblings at their next wait, waits until they are gone, and then
  // comes out here. Nobody is left behind.
  try {
    co_await st::scope([](st::group& g) -> st::task<> {
      auto [in, out] = st::make_chan<bool>();
      g.go(patient, std::move(in));
      g.go(hasty, std::move(out));
      co_return;
    });
  } catch (const std::runtime_error& e) {
    std::printf("root: %s\n", e.what());
  }
}

int main() { st::run(root); }
