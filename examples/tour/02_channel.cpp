// Step 2: a channel carries values from one goroutine to another.
#include <cstdio>
#include <string>

#include <strait/strait.hpp>

namespace st = strait;

// The parameters say who may do what: this one only sends. Its end goes when it returns, and when
// the last sender has gone the channel closes by itself.
st::task<> count(int to, st::sender<int> out) {
  for (int i = 1; i <= to; ++i) co_await out.send(i);
}

// Values in, values out: two channels and a loop are a stage of a pipeline.
st::task<> square(st::receiver<int> in, st::sender<int> out) {
  while (auto n = co_await in.recv()) co_await out.send(*n * *n);
}

st::task<> root() {
  // make_chan gives the two ends. Capacity 0 is a rendezvous: a send ends when it was received.
  auto [numbers_in, numbers] = st::make_chan<int>();
  auto [squares_in, squares] = st::make_chan<int>();
  st::go(count, 5, std::move(numbers_in));  // moved: no handle is left here to keep it open
  st::go(square, std::move(numbers), std::move(squares_in));
  while (auto s = co_await squares.recv()) std::printf("%d\n", *s);  // ends when it is closed

  // A buffered channel takes that many values before a send has to wait. chan<T> is both ends.
  st::chan<std::string> letters(2);
  co_await letters.send("alpha");  // builds the string inside
  co_await letters.send("beta");
  std::string third = "gamma";
  if (letters.try_send(std::move(third)) == st::send_result::full) {  // moves only what it sends
    std::printf("%zu of %zu, %s is still here\n", letters.len(), letters.cap(), third.c_str());
  }

  // Closing ends it for the receivers, after what is in it.
  letters.close();
  while (auto l = co_await letters.recv()) std::printf("%s\n", l->c_str());
  try {
    co_await letters.send("delta");
  } catch (const st::closed& e) {
    std::printf("%s\n", e.what());
  }
}

int main() { st::run(root); }
