// expect: (could not convert|no viable conversion).*sender<int>.*chan<int>
// An end never becomes a channel of both directions again.
#include <strait/strait.hpp>
strait::chan<int> f(strait::sender<int> tx) { return tx; }
