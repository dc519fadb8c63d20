// Values into Cap'n Proto messages and back: what the transport calls, and what a test or a gateway
// may call. For programs, a channel of T needs no more than that T can travel:
//
//   bool, integers, float, double; enums (UInt16); std::chrono durations and time points (Int64
//   count: the unit is part of the type); std::string (Text, UTF-8); std::vector or std::array of
//   std::byte, char or unsigned char (Data), of anything else (List); maps and sets (List);
//   std::optional and std::variant (a union); std::pair, std::tuple and plain aggregates of up to
//   48 members (struct); any other class through wire<T>.
//
// The layout is the Cap'n Proto compiler's own for the schema that schema_text<T>() prints, byte
// for byte. Everything here is safe on bytes from a stranger: it throws codec_error or gives a
// value.
//
// Encoding and decoding run user code (constructors, wire<T>) and may throw what that throws.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>
// The shim above must stay first.
#include <capnp/any.h>
#include <kj/exception.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/decode.hpp>
#include <strait/remote/detail/encode.hpp>
#include <strait/remote/detail/layout.hpp>
#include <strait/remote/wire.hpp>

namespace strait::inline STRAIT_ABI {

/// Whether T itself can travel. Its members are checked where it is used.
template <class T>
concept encodable = detail::kind_of<T> != detail::kind::unsupported &&
                    std::is_default_constructible_v<T> && std::is_same_v<T, std::remove_cv_t<T>>;

/// What one decoding may cost. The size of the message, its traversal and its nesting are limited
/// where it is received, by capnp::ReaderOptions.
struct decode_limits {
  /// Bytes that strings, vectors and maps may take; a list of elements that are empty on the wire
  /// takes none there. Counted for the containers' elements, not for their allocators.
  std::uint64_t memory = std::uint64_t{64} << 20;
};

namespace detail {

/// The name of T in front of an error's path, if it has one.
template <class T>
std::string root_name() {
  using R = rep_t<T>;
  if constexpr (kind_of<R> == kind::record && std::is_aggregate_v<R>) {
    return std::string(type_name<R>());
  } else {
    return {};
  }
}

/// Runs `body` and gives what it throws the name of T and the one type of errors.
template <class T, class F>
decltype(auto) naming_root(F&& body) {
  try {
    return body();
  } catch (const codec_error& inner) {
    throw codec_error(root_name<T>(), inner);
  } catch (const kj::Exception& problem) {
    throw codec_error(root_name<T>(), from_kj(problem));
  }
}

}  // namespace detail

/// Writes `value` to `out`; a scalar or a union as a struct of one field.
template <encodable T>
void encode(capnp::AnyPointer::Builder out, const T& value) {
  detail::naming_root<T>(
      [&] { detail::write_pointer<detail::rep_t<T>>(out, detail::as_rep<T>(value)); });
}

/// Reads what `encode` wrote, or a peer's version of it. Fields that the sender's version does not
/// have keep the initialisers of T; a null pointer gives T{}.
template <encodable T>
T decode(capnp::AnyPointer::Reader in, decode_limits limits = {}) {
  return detail::naming_root<T>([&] {
    detail::budget memory(limits.memory);
    T value{};
    detail::read_through(value,
                         [&](detail::rep_t<T>& whole) { detail::read_pointer(in, whole, memory); });
    return value;
  });
}

/// Writes the values of `first`, then those of `second` (the two halves of a ring), as one List(T):
/// List(Int64), List(Text), a list of inline structs, ... One memcpy each for numbers and for
/// aggregates that lie in memory as they do on the wire.
template <encodable T>
void encode_batch(capnp::AnyPointer::Builder out, std::span<const T> first,
                  std::span<const T> second = {}) {
  detail::naming_root<T>([&] {
    if (second.empty()) {
      detail::write_list<T>(out, first);
    } else {
      detail::write_list<T>(out, first, second);
    }
  });
}

/// The same for any range of T that knows its size.
template <encodable T, class Range>
  requires(!std::is_convertible_v<const Range&, std::span<const T>>)
void encode_batch(capnp::AnyPointer::Builder out, const Range& values) {
  detail::naming_root<T>([&] { detail::write_list<T>(out, values); });
}

/// How many values the batch in `in` says it has, before any is decoded: for a check against
/// credits. Throws codec_error if it is no list.
inline std::size_t batch_size(capnp::AnyPointer::Reader in) {
  try {
    return in.isNull() ? 0 : in.getAs<capnp::AnyList>().size();
  } catch (const kj::Exception& problem) {
    throw detail::from_kj(problem);
  }
}

/// Calls `sink(T&&)` for each value of a batch in turn, and returns how many there were. It throws
/// at the first bad value; the sink has had those before it.
template <encodable T, std::invocable<T&&> Sink>
std::size_t decode_batch(capnp::AnyPointer::Reader in, Sink&& sink, decode_limits limits = {}) {
  return detail::naming_root<T>([&] {
    detail::budget memory(limits.memory);
    std::size_t count = 0;
    const auto counting = [&](T&& value) {
      sink(std::move(value));
      ++count;
    };
    detail::read_list<T>(in, detail::sink_target<T, decltype(counting)>{counting, memory}, memory);
    return count;
  });
}

/// Replaces `out` by the values of a batch: a memcpy where encode_batch is one.
template <encodable T>
void decode_batch(capnp::AnyPointer::Reader in, std::vector<T>& out, decode_limits limits = {}) {
  detail::naming_root<T>([&] {
    detail::budget memory(limits.memory);
    detail::read_list<T>(in, detail::vector_target<T>{out, memory}, memory);
  });
}

/// The words (of 8 bytes) that `encode` writes, without the pointer that leads there. Exact; what a
/// message of several segments adds for its far pointers is not counted.
template <encodable T>
std::size_t encoded_words(const T& value) {
  return detail::pointer_words<detail::rep_t<T>>(detail::as_rep<T>(value));
}

/// The same for `encode_batch`.
template <encodable T>
std::size_t encoded_batch_words(std::span<const T> first, std::span<const T> second = {}) {
  return detail::list_words<T>(first, second);
}

}  // namespace strait::inline STRAIT_ABI
