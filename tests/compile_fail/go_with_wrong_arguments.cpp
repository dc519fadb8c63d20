// expect: f cannot be called with these arguments
// The arguments are checked where the goroutine is started.
#include <strait/strait.hpp>
#include <string>
strait::task<> g(std::string, int);
void f() { strait::go(g, 1, 2); }
