// Version, platform checks and the inline namespace that everything of strait lives in.
//
// Whatever changes the layout of a type is part of the namespace's name, so that two translation
// units compiled with different settings fail to link instead of misbehaving.
#pragma once

#if defined(__clang_major__) && __clang_major__ < 16
#error "strait needs clang 16 or newer: older ones cache thread-local addresses across suspension"
#endif

#define STRAIT_VERSION_MAJOR 0
#define STRAIT_VERSION_MINOR 1
#define STRAIT_VERSION_PATCH 0

// Wait reasons, spawn sites and the goroutine dump: 1 by default, 0 compiles them out.
#ifndef STRAIT_DIAGNOSTICS
#define STRAIT_DIAGNOSTICS 1
#endif

// Tests may put another implementation of atomics under the core (see detail/atomic.hpp).
#if defined(STRAIT_TEST_ATOMICS)
#define STRAIT_ABI_ATOMICS _model
#else
#define STRAIT_ABI_ATOMICS
#endif
#if STRAIT_DIAGNOSTICS
#define STRAIT_ABI_DIAGNOSTICS
#else
#define STRAIT_ABI_DIAGNOSTICS _lean
#endif
#if defined(__SANITIZE_ADDRESS__)
#define STRAIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRAIT_ASAN 1
#endif
#endif
#ifndef STRAIT_ASAN
#define STRAIT_ASAN 0
#endif
#if STRAIT_ASAN
#define STRAIT_ABI_MEMORY _asan
#else
#define STRAIT_ABI_MEMORY
#endif
#define STRAIT_ABI_JOIN2(a, b, c, d) a##b##c##d
#define STRAIT_ABI_JOIN(a, b, c, d) STRAIT_ABI_JOIN2(a, b, c, d)
#define STRAIT_ABI \
  STRAIT_ABI_JOIN(v0, STRAIT_ABI_DIAGNOSTICS, STRAIT_ABI_ATOMICS, STRAIT_ABI_MEMORY)

// Process-wide state has default visibility, so that shared libraries built with hidden
// visibility share one runtime.
#define STRAIT_SHARED __attribute__((visibility("default")))

// Kept out of line: a compiler may cache a thread-local's address across a suspension, after which
// the coroutine may be on another thread.
#define STRAIT_NOINLINE __attribute__((noinline))

namespace strait::inline STRAIT_ABI {}
