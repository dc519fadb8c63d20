// expect: a channel carries objects: chan<T> with a plain T
// A const value could not be moved out.
#include <strait/strait.hpp>
strait::chan<const int> c(1);
