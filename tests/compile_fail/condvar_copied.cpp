// expect: deleted.*condvar
// Those who wait in it would be left in the original.
#include <strait/strait.hpp>
strait::condvar a;
strait::condvar b = a;
