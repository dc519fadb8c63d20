// expect: no member named .send.
// A receiver cannot send.
#include <strait/strait.hpp>
strait::task<> f(strait::receiver<int> rx) { co_await rx.send(1); }
