// expect: await an operation where it is made: co_await ch.recv\(\)
// It may refer to what its expression made.
#include <strait/strait.hpp>
strait::task<> f(strait::receiver<int> rx) {
  auto op = rx.recv();
  co_await op;
}
