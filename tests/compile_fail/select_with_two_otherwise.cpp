// expect: a select has one otherwise at most
// Which of them would it be?
#include <strait/strait.hpp>
strait::task<> f() { co_await strait::select{strait::otherwise, strait::otherwise}; }
