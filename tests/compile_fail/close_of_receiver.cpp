// expect: no member named .close.
// Closing is the sender's word.
#include <strait/strait.hpp>
void f(strait::receiver<int> rx) { rx.close(); }
