// expect: a case of select is an operation: ch.recv\(\), ch.send\(v\), st::after\(d\)
// A channel is no case; an operation on it is.
#include <strait/strait.hpp>
strait::task<> f(strait::receiver<int> rx) { co_await strait::select{rx, strait::otherwise}; }
