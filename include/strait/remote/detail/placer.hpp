// The capnp compiler's layout of a struct, as constexpr functions.
//
// A port of NodeTranslator::StructLayout (capnp/compiler/node-translator.c++, the same from 0.9.2
// to 1.4): data fields go, in the order of their ordinals, into the smallest hole that holds them,
// else into a new word. A union gets its 16-bit tag just before its second member; later members
// reuse the first one's place or widen it into the hole behind it. Members here have one field each
// and are never groups, which leaves out the half of the algorithm that deals with nested groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// The place of one ordinal, before it is known: log2 of its bits, or one of these two.
using shape = std::int8_t;
inline constexpr shape void_shape = -1;
inline constexpr shape pointer_shape = -2;

/// The space of one struct. Offsets are in units of the field's own size.
class placer {
 public:
  constexpr std::uint32_t add(shape s) {
    if (s == void_shape) return 0;
    return s == pointer_shape ? pointers_++ : add_data(static_cast<unsigned>(s));
  }

  constexpr std::uint32_t data_words() const { return words_; }
  constexpr std::uint32_t pointers() const { return pointers_; }

  /// The members of one union, added one after the other.
  class union_members {
   public:
    constexpr explicit union_members(placer& parent) : parent_(parent) {}

    constexpr std::uint32_t add(shape s) {
      if (++members_ == 2) tag_ = parent_.add_data(4);
      if (s == void_shape) return 0;
      if (s == pointer_shape) {
        if (!has_pointer_) pointer_ = parent_.pointers_++;
        has_pointer_ = true;
        return pointer_;
      }
      return add_data(static_cast<unsigned>(s));
    }
    constexpr std::uint32_t tag() const { return tag_; }

   private:
    struct location {
      unsigned lg;
      std::uint32_t offset;
    };

    constexpr std::uint32_t add_data(unsigned lg) {
      location* best = nullptr;
      for (std::size_t i = 0; i < count_; ++i) {
        if (locations_[i].lg >= lg && (!best || locations_[i].lg < best->lg)) best = &locations_[i];
      }
      for (std::size_t i = 0; i < count_ && !best; ++i) {
        location& old = locations_[i];
        if (!parent_.try_expand(old.lg, old.offset, lg - old.lg)) continue;
        old = {lg, old.offset >> (lg - old.lg)};
        best = &old;
      }
      if (best) return best->offset << (best->lg - lg);
      // A new place is made only when none is wide enough, so there is at most one of each size.
      locations_[count_] = {lg, parent_.add_data(lg)};
      return locations_[count_++].offset;
    }

    placer& parent_;
    unsigned members_ = 0;
    std::uint32_t tag_ = 0;
    bool has_pointer_ = false;
    std::uint32_t pointer_ = 0;
    location locations_[8] = {};
    std::size_t count_ = 0;
  };

 private:
  static constexpr unsigned sizes = 6;  // holes of 1 to 32 bits; offset 0 is never a hole

  constexpr std::uint32_t add_data(unsigned lg) {
    if (const std::uint32_t hole = take_hole(lg); hole != 0) return hole;
    const std::uint32_t offset = words_++ << (6 - lg);
    std::uint32_t rest = offset + 1;
    for (unsigned size = lg; size < sizes; ++size) {
      holes_[size] = rest;
      rest = (rest + 1) / 2;
    }
    return offset;
  }

  constexpr std::uint32_t take_hole(unsigned lg) {
    if (lg >= sizes) return 0;
    if (holes_[lg] != 0) return std::exchange(holes_[lg], 0u);
    const std::uint32_t wider = take_hole(lg + 1);
    if (wider == 0) return 0;
    holes_[lg] = wider * 2 + 1;
    return wider * 2;
  }

  /// Widens a field by `factor` doublings into the holes right behind it.
  constexpr bool try_expand(unsigned lg, std::uint32_t offset, unsigned factor) {
    if (factor == 0) return true;
    if (lg >= sizes || holes_[lg] != offset + 1) return false;
    if (!try_expand(lg + 1, offset >> 1, factor - 1)) return false;
    holes_[lg] = 0;
    return true;
  }

  std::uint32_t words_ = 0;
  std::uint32_t pointers_ = 0;
  std::uint32_t holes_[sizes] = {};
};

}  // namespace strait::inline STRAIT_ABI::detail
