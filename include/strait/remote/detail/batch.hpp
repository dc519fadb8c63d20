// A batch of values as words: what crosses from goroutines, which encode and decode, to the drive,
// which sends and receives. Neither runs the other's code: encoding may throw and may take long.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <capnp/any.h>
#include <capnp/message.h>
#include <kj/array.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <strait/remote/codec.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// A list of values, flat in one segment.
class batch {
 public:
  batch() = default;
  batch(kj::Array<capnp::word> words, std::size_t count) noexcept
      : words_(kj::mv(words)), count_(count) {}

  std::size_t count() const noexcept { return count_; }
  std::uint64_t bytes() const noexcept { return words_.size() * sizeof(capnp::word); }
  std::uint64_t words() const noexcept { return words_.size(); }

  /// Calls `f` with the list.
  template <class F>
  decltype(auto) read(F&& f) const {
    kj::ArrayPtr<const capnp::word> segment = words_;
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = words_.size() * 8 + 64;
    limits.nestingLimit = 32;
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), limits);
    return f(reader.getRoot<capnp::AnyPointer>());
  }

 private:
  kj::Array<capnp::word> words_;
  std::size_t count_ = 0;
};

/// Runs T's encoding.
template <class T>
batch encode_values(std::span<const T> values, std::size_t words) {
  auto space = kj::heapArray<capnp::word>(words + 1);
  std::memset(space.begin(), 0, space.size() * sizeof(capnp::word));
  {
    capnp::FlatMessageBuilder builder(space);
    encode_batch<T>(builder.getRoot<capnp::AnyPointer>(), values);
  }
  return batch(kj::mv(space), values.size());
}

/// Runs T's decoding.
template <class T>
std::vector<T> decode_values(const batch& b, std::size_t max_bytes) {
  std::vector<T> values;
  decode_limits limits;
  limits.memory = std::uint64_t{max_bytes} * 16;
  b.read([&](capnp::AnyPointer::Reader in) { decode_batch<T>(in, values, limits); });
  return values;
}

/// Copies a received list out of its message: in the drive, no code of T. Throws kj::Exception for
/// a list that is malformed or holds capabilities.
inline batch copy_values(capnp::AnyPointer::Reader in) {
  std::size_t count = batch_size(in);
  auto size = in.targetSize();
  KJ_REQUIRE(size.capCount == 0, "channel ends inside values come later");
  auto space = kj::heapArray<capnp::word>(static_cast<std::size_t>(size.wordCount) + 1);
  std::memset(space.begin(), 0, space.size() * sizeof(capnp::word));
  {
    capnp::FlatMessageBuilder builder(space);
    builder.getRoot<capnp::AnyPointer>().set(in);
  }
  return batch(kj::mv(space), count);
}

}  // namespace strait::inline STRAIT_ABI::detail
