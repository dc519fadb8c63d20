// What tests share: the scale of expensive counts, and the hooks of tests/main.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <iosfwd>

#ifndef STRAIT_TEST_SCALE_PERCENT
#define STRAIT_TEST_SCALE_PERCENT 100
#endif

namespace strait_test {

/// `count` in the configuration that holds the expensive counts, a tenth of it under sanitizers
/// (STRAIT_TEST_SCALE_PERCENT), times the environment's STRAIT_TEST_SCALE; at least 1.
std::uint64_t scaled(std::uint64_t count);

/// True when this program was built with a sanitizer.
bool sanitized();

/// How long one test may run before the watchdog ends the program: 60 s, 300 s under sanitizers, or
/// STRAIT_TEST_LIMIT seconds. `extend_limit` grants the running test this much in place of it.
std::chrono::seconds limit();
void extend_limit(std::chrono::seconds whole_test);

}  // namespace strait_test

/// Called by the watchdog before it aborts: writes every goroutine and what it waits for to stderr.
/// main.cpp sets it to strait::dump.
extern std::atomic<void (*)()> strait_test_dump;

/// Called after each test: false, and the reason on the stream, when something of the test is still
/// alive. main.cpp sets it to a count of the goroutines and coroutine frames; a test that must
/// leave some behind sets it to null.
extern bool (*strait_test_leaks)(std::ostream&);
