// expect: a simulated program returns nothing
// A simulation gives its trace.
#include <strait/sim.hpp>
strait::task<int> g() { co_return 1; }
void f() { strait::sim::run(1, g); }
