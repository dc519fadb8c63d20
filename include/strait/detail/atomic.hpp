// The seam for atomics: every shared word of the core is a `detail::atomic`.
//
// Normally that is std::atomic. A model checker puts its own there by defining STRAIT_TEST_ATOMICS
// to a header; the inline namespace changes with it, so that both cannot meet in one program.
//
// House rule: no standalone fences. `atomic_thread_fence(seq_cst)` is an mfence with clang, and
// thread sanitizers cannot see it. Where a store must be ordered before a later load of another
// word, both are sequentially consistent operations on the words themselves.
#pragma once

#include <strait/detail/config.hpp>

#if defined(STRAIT_TEST_ATOMICS)
#include STRAIT_TEST_ATOMICS
#else
#include <atomic>
namespace strait::inline STRAIT_ABI::detail {
template <class T>
using atomic = std::atomic<T>;
}
#endif
