// expect: the lock is released when its guard is destroyed
// This lock would be released at once.
#include <strait/strait.hpp>
void f(strait::mutex& m) { m.try_lock(); }
