// Step 1: a goroutine is a function that runs beside you.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <strait/strait.hpp>

namespace st = strait;  // always st::, never `using namespace`: the C library has a ::select

// A coroutine that returns st::task<T> is a function that may wait. Calling it runs nothing;
// `co_await fibonacci(20)` runs it like any call, in the caller's goroutine.
st::task<int> fibonacci(int n) {
  if (n < 2) co_return n;
  const int a = co_await fibonacci(n - 1);
  const int b = co_await fibonacci(n - 2);
  co_return a + b;
}

// A plain function can be a goroutine as well.
int length_of(const std::string& word) {
  if (word.empty()) throw std::runtime_error("a word has letters");
  return static_cast<int>(word.size());
}

st::task<> root() {
  const int here = co_await fibonacci(20);
  std::printf("called: %d\n", here);

  // go() starts a goroutine and returns at once, with a handle. Arguments are copied or moved into
  // the goroutine, so nothing that it uses can go away.
  auto there = st::go(fibonacci, 20);
  const int joined = co_await there;  // waits for its end and gives its result
  std::printf("started and joined: %d\n", joined);

  // A goroutine costs a few hundred bytes, and no thread: start as many as the problem has parts.
  std::vector<st::join_handle<int>> many;
  for (int i = 0; i < 10'000; ++i) many.push_back(st::go(length_of, std::string("goroutine")));
  int letters = 0;
  for (auto& each : many) letters += co_await each;
  std::printf("10000 goroutines counted %d letters\n", letters);

  // What a goroutine throws reaches whoever joins it.
  auto bad = st::go(length_of, std::string());
  try {
    co_await bad;
  } catch (const std::runtime_error& e) {
    std::printf("joined and caught: %s\n", e.what());
  }
}

// run() works off goroutines on all processors until the root has ended.
int main() { st::run(root); }
