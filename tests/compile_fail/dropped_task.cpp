// expect: a task runs only when it is awaited: co_await it, or go\(\) it
// A call of a coroutine alone runs nothing.
#include <strait/strait.hpp>
strait::task<> g();
void f() { g(); }
