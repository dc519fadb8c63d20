// expect: promise
// Only a coroutine that returns task<T> may wait.
#include <strait/strait.hpp>
void f(strait::receiver<int> rx) { co_await rx.recv(); }
