// A random value of any type that can travel.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <strait/remote/codec.hpp>

#include "codec_types.hpp"

namespace strait_test {

namespace sd = strait::detail;

/// The seed of a run: STRAIT_TEST_SEED, else a new one; printed, so that a failure can be repeated.
inline std::uint64_t codec_seed() {
  static const std::uint64_t seed = [] {
    const char* const given = std::getenv("STRAIT_TEST_SEED");
    const std::uint64_t value =
        given ? std::strtoull(given, nullptr, 0)
              : (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
    std::printf("seed: STRAIT_TEST_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
  }();
  return seed;
}

class value_source {
 public:
  explicit value_source(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t end) { return random_() % end; }

  template <class T>
  T make(unsigned depth = 0) {
    T value{};
    fill(value, depth);
    return value;
  }

 private:
  /// Mostly short, now and then empty, rarely long.
  std::size_t length(unsigned depth) {
    if (depth > 4) return 0;
    const auto dice = below(32);
    return dice == 0 ? static_cast<std::size_t>(below(70)) : static_cast<std::size_t>(dice % 5);
  }

  template <class T>
  void fill(T& value, unsigned depth) {
    using sd::kind;
    constexpr kind k = sd::classify<T>();
    if constexpr (k == kind::boolean) {
      value = below(2) == 1;
    } else if constexpr (std::is_same_v<T, std::byte>) {
      value = static_cast<std::byte>(below(256));
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(static_cast<std::int64_t>(random_()) / 1024) / T{3};
    } else if constexpr (k == kind::number) {
      // Small numbers and the ends of the range as often as the rest.
      const auto dice = below(4);
      value = dice == 0   ? static_cast<T>(below(3))
              : dice == 1 ? std::numeric_limits<T>::max()
              : dice == 2 ? std::numeric_limits<T>::min()
                          : static_cast<T>(random_());
    } else if constexpr (std::is_same_v<T, sample::sparse>) {
      value = static_cast<T>(random_());
    } else if constexpr (k == kind::enumeration) {
      value = static_cast<T>(below(3));
    } else if constexpr (sd::is_a<std::chrono::time_point, T>) {
      value = T(make<typename T::duration>());
    } else if constexpr (k == kind::time) {
      value = T(make<typename T::rep>());
    } else if constexpr (k == kind::text) {
      for (std::size_t n = length(depth); n > 0; --n) value += text_piece();
    } else if constexpr (k == kind::optional) {
      if (below(3) != 0) fill(value.emplace(), depth + 1);
    } else if constexpr (k == kind::variant) {
      fill_variant(value, depth, std::make_index_sequence<std::variant_size_v<T>>{});
    } else if constexpr (sd::is_std_array<T>) {
      for (auto& element : value) fill(element, depth + 1);
    } else if constexpr (k == kind::map) {
      for (std::size_t n = length(depth); n > 0; --n) {
        auto key = make<typename T::key_type>(depth + 1);
        value.insert_or_assign(std::move(key), make<typename T::mapped_type>(depth + 1));
      }
    } else if constexpr (sd::is_set<T>) {
      for (std::size_t n = length(depth); n > 0; --n) value.insert(make<typename T::key_type>());
    } else if constexpr (k == kind::list || k == kind::data) {
      for (std::size_t n = length(depth); n > 0; --n) {
        value.push_back(make<typename T::value_type>(depth + 1));
      }
    } else if constexpr (std::is_same_v<T, sample::uuid>) {
      value = sample::uuid(random_());
    } else if constexpr (std::is_same_v<T, sample::even>) {
      value = sample::even(static_cast<std::int32_t>(below(1000)) * 2);
    } else if constexpr (!std::is_same_v<T, std::monostate>) {
      sd::record<T>::visit(value, [&](auto&... fields) { (fill(fields, depth + 1), ...); });
    }
  }

  template <class V, std::size_t... I>
  void fill_variant(V& value, unsigned depth, std::index_sequence<I...>) {
    const auto chosen = below(sizeof...(I));
    ((chosen == I ? fill(value.template emplace<I>(), depth + 1) : void()), ...);
  }

  const char* text_piece() {
    static constexpr const char* pieces[] = {"a",  "word ", "\xc3\xa9", "\xe2\x82\xac",
                                             "\n", "\"",    "strait",   "\xf0\x9f\x8c\x8a"};
    return pieces[below(std::size(pieces))];
  }

  std::mt19937_64 random_;
};

}  // namespace strait_test
