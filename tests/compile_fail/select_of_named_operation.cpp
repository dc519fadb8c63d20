// expect: make a select case in the braces: select\{ch.recv\(\)\}
// The order of evaluation is the braces'.
#include <strait/strait.hpp>
strait::task<> f(strait::receiver<int> rx) {
  auto op = rx.recv();
  co_await strait::select{op, strait::otherwise};
}
