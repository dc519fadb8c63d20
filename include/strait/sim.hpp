// A whole local program on one thread, a virtual clock and a seeded schedule.
//
// The code of goroutines, channels, select and timers is the one that runs on threads; only the
// choices come from the seed: which ready goroutine runs next, when an operation that could go on
// lets others run first, what select picks. Time stands still while anything can run and then jumps
// to the next timer. `blocking` calls run inline. The same seed gives the same run, bit for bit;
// `trace` is a fingerprint of all choices made, by which to tell.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <strait/runtime.hpp>

namespace strait::inline STRAIT_ABI::sim {

/// What a simulated run was.
struct outcome {
  std::uint64_t trace = 0;              ///< Equal for equal runs, and hardly ever for others.
  std::uint64_t steps = 0;              ///< How often a goroutine was resumed.
  std::chrono::nanoseconds elapsed{0};  ///< Virtual time from start to end.
};

namespace detail {
using namespace strait::detail;

struct sim_function : spawn_calls<sim_function> {
  template <std::integral Seed, class F, class... Args>
  outcome spawn(const std::source_location& where, Seed seed, F&& f, Args&&... args) const {
    if (this_thread().w != nullptr) throw misuse("a simulation cannot run inside a goroutine");
    simulation s;
    s.random = random_source(static_cast<std::uint64_t>(seed));
    s.now = start_time;
    // Some seeds let others run at nearly every operation, some hardly ever.
    s.preempt_one_in = 1u << s.random.below(6);
    {
      runtime_run runtime(1, &s);
      using T = spawn_result_t<F, Args...>;
      static_assert(std::is_void_v<T>, "strait: a simulated program returns nothing");
      runtime(std::chrono::nanoseconds(0), where, std::forward<F>(f), std::forward<Args>(args)...);
    }
    return {s.trace, s.steps, std::chrono::nanoseconds(s.now - start_time)};
  }

  static constexpr nanos start_time = 1'000'000'000;
};

}  // namespace detail

/// `sim::run(seed, f, args...)` runs `f(args...)`, a task<>, to its end, as st::run does, but
/// simulated. Throws what it throws: `deadlock`, too, the moment nothing can go on.
inline constexpr detail::sim_function run{};

/// Runs `f` once for each of `n` seeds from `first` on. Gives the first seed whose run threw, after
/// printing it, or nothing if all went well: `sim::run` with that seed replays the failure.
template <class F>
std::optional<std::uint64_t> explore(std::uint64_t first, std::uint64_t n, F f) {
  for (std::uint64_t seed = first; seed - first < n; ++seed) {
    try {
      run(seed, f);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "strait: seed %llu: %s\n", static_cast<unsigned long long>(seed),
                   e.what());
      return seed;
    }
  }
  return std::nullopt;
}

}  // namespace strait::inline STRAIT_ABI::sim
