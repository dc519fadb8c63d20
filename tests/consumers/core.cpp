#include <iostream>
#include <strait/strait.hpp>
#include <utility>

namespace st = strait;

st::task<> count(st::sender<int> out) {
  for (int i = 1; i <= 100; ++i) co_await out.send(i);
}

st::task<int> sum() {
  auto [in, out] = st::make_chan<int>(4);
  st::go(count, std::move(in));
  int total = 0;
  while (auto v = co_await out.recv()) total += *v;
  co_return total;
}

int main() {
  if (st::run(sum) != 5050) return 1;
  std::cout << "core: strait works\n";
}
