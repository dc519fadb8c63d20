// expect: (could not convert|no viable conversion).*sender<int>.*receiver<int>
// Nor the other end.
#include <strait/strait.hpp>
strait::receiver<int> f(strait::sender<int> tx) { return tx; }
