// expect: dial one end of a channel: dial<sender<T>>
// What is far away has one direction.
#include <strait/remote.hpp>
strait::task<> f() { auto c = co_await strait::dial<strait::chan<int>>("tcp://h:1/c"); }
