#include <iostream>
#include <strait/remote.hpp>
#include <strait/strait.hpp>
#include <string>
#include <utility>

namespace st = strait;

struct greeting {
  int number = 0;
  std::string text;
};

st::task<> greet(std::string address) {
  auto out = co_await st::dial<st::sender<greeting>>(address + "/greetings");
  co_await out.send(7, "hello");
  co_await out.flush();
}

st::task<bool> receive() {
  st::node node;
  auto [in, out] = st::make_chan<greeting>(4);
  co_await node.listen("tcp://127.0.0.1:0");
  node.serve("greetings", std::move(in));
  auto greeter = st::go(greet, node.address());
  auto got = co_await out.recv();
  co_await greeter;
  co_return got && got->number == 7 && got->text == "hello";
}

int main() {
  if (!st::run(receive)) return 1;
  std::cout << "remote: strait works\n";
}
