// expect: no member named .recv.
// A sender cannot receive.
#include <strait/strait.hpp>
strait::task<> f(strait::sender<int> tx) { co_await tx.recv(); }
