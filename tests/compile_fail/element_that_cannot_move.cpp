// expect: a channel's T must be nothrow-move-constructible.*std::unique_ptr<T> instead
// A value that stays where it is cannot travel.
#include <mutex>
#include <strait/strait.hpp>
strait::chan<std::mutex> c(1);
