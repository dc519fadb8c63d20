// What a frame may be, and one received frame as Cap'n Proto reads it.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <capnp/message.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace strait::inline STRAIT_ABI::detail {

struct frame_limits {
  std::size_t words = 4096 / 8;  ///< Largest frame that is read; raised after the handshake.
  std::uint32_t segments = 64;
  std::uint64_t traversal_factor = 8;  ///< How many times a frame's words may be visited.
  int nesting = 32;
};

/// One received message, in memory of its own.
class frame_reader final : public capnp::MessageReader {
 public:
  frame_reader(capnp::ReaderOptions limits, kj::Array<capnp::word> words,
               const std::vector<std::uint32_t>& sizes)
      : MessageReader(limits), words_(kj::mv(words)), sizes_(sizes) {}

  kj::ArrayPtr<const capnp::word> getSegment(kj::uint id) override {
    if (id >= sizes_.size()) return nullptr;
    std::size_t begin = 0;
    for (kj::uint i = 0; i < id; ++i) begin += sizes_[i];
    return words_.slice(begin, begin + sizes_[id]);
  }

 private:
  kj::Array<capnp::word> words_;
  std::vector<std::uint32_t> sizes_;
};

}  // namespace strait::inline STRAIT_ABI::detail
