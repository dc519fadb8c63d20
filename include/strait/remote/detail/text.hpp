// Text as Cap'n Proto means it: UTF-8. Checked on both ways, so that a string which a peer in
// another language could not read is refused where it was made, by name of its field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Whether `text` is well-formed UTF-8 (Unicode 15, table 3-7): no overlong form, no surrogate,
/// nothing above U+10FFFF. Eight ASCII bytes cost one test.
inline bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at != end) {
    if (end - at >= 8) {
      std::uint64_t eight;
      std::memcpy(&eight, at, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const unsigned char lead = *at++;
    if (lead < 0x80) continue;
    // The first byte after the lead has a range of its own where a whole one would be too much.
    unsigned char low = 0x80, high = 0xbf;
    std::ptrdiff_t more = 0;
    if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    }
    if (more == 0 || end - at < more || *at < low || *at > high) return false;
    for (++at; --more > 0; ++at) {
      if (*at < 0x80 || *at > 0xbf) return false;
    }
  }
  return true;
}

}  // namespace strait::inline STRAIT_ABI::detail
