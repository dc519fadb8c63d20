// The random numbers of select, stealing and simulation: xoshiro-like speed, one word of state.
#pragma once

#include <cstdint>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// splitmix64 (Steele, Lea, Flood 2014): any seed will do, and every output is well mixed.
class random_source {
 public:
  explicit random_source(std::uint64_t seed = 1) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, n), n > 0, by multiplication (Lemire 2019); the bias is below 2^-32.
  std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace strait::inline STRAIT_ABI::detail
