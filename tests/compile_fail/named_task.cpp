// expect: await a task where it is made: co_await f\(x\).*go\(f, x\)
// References to the caller's variables are safe only in the expression that makes the task.
#include <strait/strait.hpp>
strait::task<> g();
strait::task<> f() {
  auto t = g();
  co_await t;
}
