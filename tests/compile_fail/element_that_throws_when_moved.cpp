// expect: a channel's T must be nothrow-move-constructible.*std::unique_ptr<T> instead
// A hand-over that failed half-way would lose the value.
#include <strait/strait.hpp>
struct careless {
  careless() = default;
  careless(careless&&) {}
};
strait::chan<careless> c(1);
