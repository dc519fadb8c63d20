// expect: co_await takes an operation .*, a call of a coroutine that returns task<T>
// There is nothing to wait for.
#include <strait/strait.hpp>
strait::task<> f() { co_await 5; }
