// expect: (use of deleted function|call to deleted constructor).*task
// A task cannot be kept or passed on.
#include <strait/strait.hpp>
#include <utility>
strait::task<> g();
void f() {
  auto t = g();
  auto u = std::move(t);
}
