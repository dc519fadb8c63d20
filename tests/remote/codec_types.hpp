// The aggregates that the codec's tests send: between them every type that can travel.
// generated/codec_types.capnp is the schema of `sample::everything`, as schema_text prints it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <strait/remote/wire.hpp>

namespace sample {

enum class color : std::uint8_t { red, dark_green, blue };
enum plain : int { plain_a, plain_b, plain_c };
enum class sparse : std::uint16_t { four = 4, thousand = 1000 };

struct point {
  std::int32_t x = 0;
  std::int32_t y = 0;
  bool operator==(const point&) const = default;
};

/// 64 bytes, byte for byte its data section.
struct pod64 {
  std::int64_t a = 0, b = 0, c = 0;
  double d = 0, e = 0;
  std::uint32_t f = 0;
  float g = 0;
  std::int16_t h = 0;
  std::uint16_t i = 0;
  std::int8_t j = 0, k = 0;
  std::uint8_t l = 0, m = 0;
  std::chrono::nanoseconds n{};
  bool operator==(const pod64&) const = default;
};

struct scalars {
  bool b0 = false;
  std::int8_t i8 = 0;
  bool b1 = false;
  std::int64_t i64 = 0;
  std::uint16_t u16 = 0;
  color shade = color::red;
  float f32 = 0;
  std::uint8_t u8 = 0;
  bool b2 = false;
  double f64 = 0;
  std::int16_t i16 = 0;
  std::uint32_t u32 = 0;
  std::int32_t i32 = 0;
  std::uint64_t u64 = 0;
  plain p = plain_a;
  sparse s = sparse::four;
  char c = 0;
  std::byte raw{};
  bool operator==(const scalars&) const = default;
};

struct times {
  std::chrono::milliseconds timeout{};
  std::chrono::system_clock::time_point at{};
  std::chrono::duration<std::int32_t, std::ratio<60>> minutes{};
  std::chrono::duration<double> exact{};
  bool operator==(const times&) const = default;
};

struct record {
  std::int64_t id = 0;
  std::string text;
  std::vector<double> values;
  bool operator==(const record&) const = default;
};

struct lists {
  std::vector<bool> bits;
  std::vector<std::int16_t> shorts;
  std::vector<std::string> texts;
  std::vector<std::vector<std::byte>> blobs;
  std::vector<std::vector<std::int32_t>> matrix;
  std::vector<std::vector<std::vector<std::string>>> cube;
  std::vector<point> points;
  std::vector<record> records;
  std::vector<color> colors;
  std::vector<std::chrono::seconds> durations;
  std::array<std::int32_t, 3> three{};
  std::array<std::byte, 16> id{};
  std::vector<char> bytes;
  std::set<std::int32_t> ordered;
  bool operator==(const lists&) const = default;
};

/// A member before, in and after the unions: each takes or leaves holes.
struct unions {
  std::uint8_t before = 0;
  std::optional<std::int32_t> maybe_int;
  std::optional<bool> maybe_bool;
  std::optional<std::string> maybe_text;
  std::variant<std::monostate, bool, std::int64_t, std::string, point, std::uint16_t> choice;
  bool after = false;
  std::variant<float, double> number;
  std::optional<point> maybe_point;
  std::optional<std::optional<std::int16_t>> twice;
  std::vector<std::optional<std::int32_t>> holes;
  std::variant<std::vector<std::string>, std::optional<color>> odd;
  std::int8_t last = 0;
  bool operator==(const unions&) const = default;
};

struct maps {
  std::map<std::string, std::int32_t> counts;
  std::unordered_map<std::int64_t, std::vector<std::string>> words;
  std::map<std::int32_t, std::optional<point>> places;
  bool operator==(const maps&) const = default;
};

struct tree {
  std::int32_t value = 0;
  std::vector<tree> children;
  bool operator==(const tree&) const = default;
};

/// No aggregate: travels as its text.
class uuid {
 public:
  uuid() = default;
  explicit uuid(std::uint64_t value) : value_(value) {}
  std::uint64_t value() const { return value_; }
  bool operator==(const uuid&) const = default;

 private:
  std::uint64_t value_ = 0;
};

/// Refuses what it does not like, both ways.
class even {
 public:
  even() = default;
  explicit even(std::int32_t value) : value_(value) {}
  std::int32_t value() const { return value_; }
  bool operator==(const even&) const = default;

 private:
  std::int32_t value_ = 0;
};

struct empty {
  bool operator==(const empty&) const = default;
};

struct others {
  uuid id;
  std::vector<uuid> ids;
  std::optional<uuid> parent;
  even half;
  std::pair<std::int32_t, std::string> both;
  std::tuple<std::int8_t, point, bool> some;
  std::tuple<> none;
  empty nothing;
  std::vector<empty> nothings;
  tree root;
  bool operator==(const others&) const = default;
};

struct everything {
  sample::scalars scalars;
  sample::pod64 pod;
  sample::times times;
  sample::record record;
  sample::lists lists;
  sample::unions unions;
  sample::maps maps;
  sample::others others;
  bool operator==(const everything&) const = default;
};

}  // namespace sample

template <>
struct strait::wire<sample::uuid> {
  using type = std::string;
  static std::string write(const sample::uuid& id) { return std::to_string(id.value()); }
  static sample::uuid read(std::string&& text) {
    std::uint64_t value = 0;
    for (const char c : text) {
      if (c < '0' || c > '9') throw codec_error("not the text of a uuid");
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return sample::uuid(value);
  }
};

template <>
struct strait::wire<sample::even> {
  using type = std::int32_t;
  static std::int32_t write(const sample::even& number) {
    if (number.value() % 2 != 0) throw codec_error("an odd number");
    return number.value() / 2;
  }
  static sample::even read(std::int32_t half) {
    if (half > 1'000'000'000 || half < -1'000'000'000) throw codec_error("too large to double");
    return sample::even(half * 2);
  }
};
