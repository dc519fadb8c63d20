// expect: a coroutine needs a runtime: run\(f, args...\)
// A plain thread cannot run a coroutine of strait.
#include <strait/strait.hpp>
strait::task<> g();
void f() { strait::wait(g()); }
