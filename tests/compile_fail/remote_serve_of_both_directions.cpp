// expect: serve one end of a channel under a name: serve\(name, receiver<T>\(c\)\)
// A name has one direction.
#include <strait/remote.hpp>
void f(strait::node& n, strait::chan<int> c) { n.serve("c", c); }
