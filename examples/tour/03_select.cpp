// Step 3: select waits for whichever comes first.
#include <cstdio>

#include <strait/strait.hpp>

namespace st = strait;
using namespace std::chrono_literals;

st::task<> count(int from, int to, st::sender<int> out) {
  for (int i = from; i < to; ++i) co_await out.send(i);
}

// Merges two channels until both have ended. A nil channel is never ready: that is how a case is
// switched off.
st::task<int> sum(st::receiver<int> a, st::receiver<int> b) {
  int total = 0;
  while (a || b) {
    auto s = co_await st::select{a.recv(), b.recv()};
    auto& end = s.index() == 0 ? a : b;
    auto& value = s.index() == 0 ? s.get<0>() : s.get<1>();
    if (value) {
      total += *value;
    } else {
      end = {};
    }
  }
  co_return total;
}

st::task<> root() {
  auto [a_in, a] = st::make_chan<int>();
  auto [b_in, b] = st::make_chan<int>();
  st::go(count, 0, 500, std::move(a_in));
  st::go(count, 500, 1001, std::move(b_in));
  const int total = co_await sum(std::move(a), std::move(b));
  std::printf("0 to 1000: %d\n", total);

  // Exactly one case is done; the others have had no effect. A timeout is a case like any other.
  st::chan<int> quiet(1);
  auto s = co_await st::select{quiet.recv(), st::after(10ms)};
  std::printf("%s\n", s.index() == 1 ? "nothing within 10 ms" : "a value?");

  // With `otherwise` it never waits. Sends and receives mix: there is room, so this one sends.
  auto now = co_await st::select{quiet.recv(), st::otherwise};
  std::printf("%s\n", now.index() == 1 ? "nothing now" : "a value?");
  auto either = co_await st::select{quiet.recv(), quiet.send(42)};
  std::printf("case %zu: sent\n", either.index());

  // When several are ready one is drawn at random, so that none can starve another;
  // ordered_select prefers the first.
  auto first = co_await st::ordered_select{quiet.recv(), st::after(0s)};
  std::printf("case %zu: %d\n", first.index(), *first.get<0>());
}

int main() { st::run(root); }
