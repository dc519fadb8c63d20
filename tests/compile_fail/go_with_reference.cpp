// expect: pass std::ref\(x\) for a parameter that is a non-const reference
// A goroutine keeps copies; sharing must be said.
#include <strait/strait.hpp>
strait::task<> g(int& counter);
void f() {
  int counter = 0;
  strait::go(g, counter);
}
