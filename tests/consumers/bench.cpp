#include <exception>
#include <iostream>
#include <strait/bench.hpp>
#include <strait/strait.hpp>

namespace st = strait;

int main() {
  st::bench::suite suite("consumer");
  suite.add("run", "strait", 1, 1, [](benchmark::State& state) {
    for (auto _ : state) st::run([]() -> st::task<> { co_return; });
  });
  std::cout << "bench: strait works\n";
}
