// Cap'n Proto messages, from anybody, into C++ values.
//
// What a peer sends is hostile until it is decoded. Cap'n Proto checks that pointers stay inside
// the message, how deep they nest and how much is read; this header checks the rest:
// - a list's element size before its bytes are touched (an untyped list does not check it);
// - the sections of a struct before each field: a field that an older sender does not have keeps
//   what its C++ initialiser gave it; what a newer one has more is not looked at;
// - text, enumerators, tags and counts against what the C++ type can hold;
// - memory: every container takes what it is about to allocate from a budget, because a list of
//   empty elements takes no room on the wire.
// A null pointer is an empty string or list, and a record as its initialisers made it.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>
// The shim above must stay first.
#include <capnp/any.h>
#include <kj/exception.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/encode.hpp>
#include <strait/remote/detail/layout.hpp>
#include <strait/remote/detail/text.hpp>
#include <strait/remote/wire.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// The memory that one decoding may still take.
class budget {
 public:
  explicit budget(std::uint64_t bytes) : left_(bytes) {}

  void take(std::uint64_t count, std::uint64_t size) {
    if (size != 0 && count > left_ / size) {
      throw codec_error("decodes to more memory than the limit allows");
    }
    left_ -= count * size;
  }

 private:
  std::uint64_t left_;
};

/// Cap'n Proto's complaint without the expression that failed: "a == b [1 == 2]; Message ...".
inline codec_error from_kj(const kj::Exception& problem) {
  // By size: the expression may hold a NUL.
  const kj::StringPtr description = problem.getDescription();
  std::string text(description.begin(), description.size());
  if (const std::size_t end = text.rfind("; "); end != text.npos) text.erase(0, end + 2);
  if (text.ends_with('.')) text.pop_back();
  return codec_error(text);
}

[[noreturn]] inline void refuse_number(const char* what) {
  throw codec_error(std::string(what) + " that its C++ type cannot hold");
}

template <class R>
R from_scalar(scalar_t<R> stored) {
  if constexpr (kind_of<R> == kind::enumeration) {
    using number = std::underlying_type_t<R>;
    const auto narrowed = static_cast<number>(stored);
    if (static_cast<std::int64_t>(narrowed) != stored) refuse_number("an enumerator");
    return static_cast<R>(narrowed);
  } else if constexpr (is_a<std::chrono::time_point, R>) {
    return R(from_scalar<typename R::duration>(stored));
  } else if constexpr (kind_of<R> == kind::time) {
    if constexpr (std::is_integral_v<typename R::rep>) {
      if (!std::in_range<typename R::rep>(stored)) refuse_number("a time");
    }
    return R(static_cast<typename R::rep>(stored));
  } else {
    return static_cast<R>(stored);
  }
}

template <class R>
R load_scalar(const unsigned char* data, std::size_t at) {
  if constexpr (kind_of<R> == kind::boolean) {
    return ((data[at / 8] >> (at % 8)) & 1) != 0;
  } else {
    scalar_t<R> stored;
    std::memcpy(&stored, data + at * sizeof stored, sizeof stored);
    return from_scalar<R>(stored);
  }
}

/// Decodes through what travels for T, if that is another type.
template <class T, class Read>
void read_through(T& out, Read&& read) {
  if constexpr (has_wire<T>) {
    using next = typename wire<T>::type;
    next represented{};
    read_through(represented, std::forward<Read>(read));
    out = wire<T>::read(std::move(represented));
  } else {
    read(out);
  }
}

template <class R>
void read_record(const capnp::AnyStruct::Reader& in, R& out, budget& memory);
template <class R>
void read_pointer(const capnp::AnyPointer::Reader& in, R& out, budget& memory);

// -------------------------------------------------------------------------------------------------
// Lists. A target says where elements go: start(n) once, then for each either slot() and done(),
// or, where the elements lie in the message as they do in memory, bulk(bytes, n).

template <class E>
struct vector_target {
  std::vector<E>& out;
  budget& memory;

  void start(std::size_t count) {
    memory.take(count, sizeof(E));
    out.clear();
    out.reserve(count);
  }
  E& slot() { return out.emplace_back(); }
  void done() {}
  void bulk(const unsigned char* bytes, std::size_t count) {
    memory.take(count, sizeof(E));
    // Not cleared: elements that are there already need not be made again to be overwritten.
    out.resize(count);
    std::memcpy(static_cast<void*>(out.data()), bytes, count * sizeof(E));
  }
};
template <>
struct vector_target<bool> {
  std::vector<bool>& out;
  budget& memory;
  bool element = false;

  void start(std::size_t count) {
    memory.take(count / 8, 1);
    out.clear();
    out.reserve(count);
  }
  bool& slot() { return element; }
  void done() { out.push_back(element); }
};

/// A shorter list leaves the rest of the array as it was.
template <class E, std::size_t N>
struct array_target {
  std::array<E, N>& out;
  std::size_t at = 0;

  void start(std::size_t count) {
    if (count > N) {
      throw codec_error("a list of " + std::to_string(count) + " elements where " +
                        std::to_string(N) + " fit");
    }
  }
  E& slot() { return out[at]; }
  void done() { ++at; }
};

template <class C>
struct insert_target {
  C& out;
  budget& memory;
  element_t<C> element{};

  void start(std::size_t count) {
    // What a node of the usual implementations has beside the element.
    memory.take(count, sizeof(element_t<C>) + 4 * sizeof(void*));
    out.clear();
  }
  element_t<C>& slot() { return element = element_t<C>{}; }
  void done() {
    if constexpr (is_map<C>) {
      out.insert_or_assign(std::move(element.first), std::move(element.second));
    } else {
      out.insert(std::move(element));
    }
  }
};

/// Hands each element to a function: the form of a batch.
template <class E, class Sink>
struct sink_target {
  Sink& sink;
  budget& memory;
  std::optional<E> element{};

  void start(std::size_t count) { memory.take(count, sizeof(E)); }
  E& slot() { return element.emplace(); }
  void done() { sink(std::move(*element)); }
  void bulk(const unsigned char* bytes, std::size_t count) {
    memory.take(count, sizeof(E));
    for (std::size_t i = 0; i < count; ++i) {
      E value;
      std::memcpy(static_cast<void*>(&value), bytes + i * sizeof(E), sizeof(E));
      sink(std::move(value));
    }
  }
};

inline const char* size_name(capnp::ElementSize size) {
  constexpr const char* names[] = {"nothing",        "bits",           "bytes",    "2-byte numbers",
                                   "4-byte numbers", "8-byte numbers", "pointers", "structs"};
  const auto index = static_cast<std::size_t>(size);
  return index < std::size(names) ? names[index] : "something unknown";
}

template <class E, class Target>
void read_list(const capnp::AnyPointer::Reader& in, Target&& target, budget& memory) {
  using R = rep_t<E>;
  constexpr bool has_bulk = requires { target.bulk(nullptr, std::size_t{0}); };
  if (in.isNull()) return target.start(0);
  const auto list = in.getAs<capnp::AnyList>();
  if (list.getElementSize() != element_size<R>()) {
    throw codec_error(std::string("a list of ") + size_name(list.getElementSize()) +
                      " where one of " + size_name(element_size<R>()) + " belongs");
  }
  const unsigned count = list.size();
  if (count == 0) return target.start(0);
  const auto each = [&](auto&& read) {
    target.start(count);
    try {
      for (unsigned i = 0; i < count; ++i) {
        read_through(target.slot(), [&](R& element) { read(i, element); });
        target.done();
      }
    } catch (const codec_error& inner) {
      throw codec_error("[]", inner);
    }
  };
  if constexpr (is_scalar<R>) {
    const auto* bytes = list.getRawBytes().begin();
    if constexpr (has_bulk && is_plain_scalar<E>) {
      target.bulk(bytes, count);
    } else {
      each([&](unsigned i, R& element) { element = load_scalar<R>(bytes, i); });
    }
  } else if constexpr (element_size<R>() == capnp::ElementSize::INLINE_COMPOSITE) {
    const auto structs = list.as<capnp::List<capnp::AnyStruct>>();
    if constexpr (has_bulk && is_image<E>) {
      const auto first = structs[0];
      if (first.getDataSection().size() == sizeof(E) && first.getPointerSection().size() == 0) {
        return target.bulk(list.getRawBytes().begin(), count);
      }
    }
    each([&](unsigned i, R& element) { read_record(structs[i], element, memory); });
  } else {
    const auto pointers = list.as<any_pointers>();
    each([&](unsigned i, R& element) { read_pointer(pointers[i], element, memory); });
  }
}

template <class R>
void read_data(const capnp::AnyPointer::Reader& in, R& out, budget& memory) {
  const auto bytes = in.getAs<capnp::Data>();
  if constexpr (is_std_array<R>) {
    array_target<element_t<R>, std::tuple_size_v<R>>{out}.start(bytes.size());
  } else {
    memory.take(bytes.size(), 1);
    out.resize(bytes.size());
  }
  if (bytes.size() > 0) std::memcpy(out.data(), bytes.begin(), bytes.size());
}

template <class R>
void read_pointer(const capnp::AnyPointer::Reader& in, R& out, budget& memory) {
  if constexpr (kind_of<R> == kind::text) {
    const auto text = in.getAs<capnp::Text>();
    if (!is_utf8({text.begin(), text.size()})) throw codec_error("text that is not UTF-8");
    memory.take(text.size(), 1);
    out.assign(text.begin(), text.size());
  } else if constexpr (kind_of<R> == kind::data) {
    read_data(in, out, memory);
  } else if constexpr (kind_of<R> == kind::map || is_set<R>) {
    read_list<element_t<R>>(in, insert_target<R>{out, memory}, memory);
  } else if constexpr (is_std_array<R>) {
    read_list<element_t<R>>(in, array_target<element_t<R>, std::tuple_size_v<R>>{out}, memory);
  } else if constexpr (kind_of<R> == kind::list) {
    read_list<element_t<R>>(in, vector_target<element_t<R>>{out, memory}, memory);
  } else {
    if (!in.isNull()) read_record(in.getAs<capnp::AnyStruct>(), out, memory);
  }
}

// -------------------------------------------------------------------------------------------------
// Records

/// A received struct. `Whole`: both sections are at least as large as the record's, so that no
/// field needs a check of its own.
template <bool Whole>
struct received_struct {
  kj::ArrayPtr<const unsigned char> data;
  any_pointers::Reader pointers;
  budget& memory;

  template <class R>
  bool holds(std::uint32_t at) const {
    if constexpr (Whole) {
      return true;
    } else if constexpr (kind_of<R> == kind::boolean) {
      return at / 8 < data.size();
    } else if constexpr (is_scalar<R>) {
      return (std::size_t{at} + 1) * sizeof(scalar_t<R>) <= data.size();
    } else {
      return at < pointers.size();
    }
  }

  /// F is the type of a field that is no union, or of a union's member.
  template <class F>
  void read(std::uint32_t at, F& out) const {
    using R = rep_t<F>;
    if (!holds<R>(at)) return;
    read_through(out, [&](R& element) {
      if constexpr (is_scalar<R>) {
        element = load_scalar<R>(data.begin(), at);
      } else {
        read_pointer(pointers[at], element, memory);
      }
    });
  }

  template <class T>
  void read_union(const placement& place, unsigned tag, std::optional<T>& out) const {
    if (tag > 1) refuse_tag(tag);
    out.reset();
    if (tag == 1) read(place.at[1], out.emplace());
  }
  template <class... Ts>
  void read_union(const placement& place, unsigned tag, std::variant<Ts...>& out) const {
    if (tag >= sizeof...(Ts)) refuse_tag(tag);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((tag == I ? read_member(place.at[I], out.template emplace<I>()) : void()), ...);
    }(std::index_sequence_for<Ts...>{});
  }
  template <class M>
  void read_member(std::uint32_t at, M& out) const {
    if constexpr (!std::is_same_v<M, std::monostate>) read(at, out);
  }
  [[noreturn]] static void refuse_tag(unsigned tag) {
    throw codec_error("member " + std::to_string(tag) + " of a union that has fewer");
  }

  template <class F>
  void read_field(const placement& place, F& out) const {
    if constexpr (is_union<F>) {
      if (!holds<std::uint16_t>(place.tag)) return;
      const unsigned tag = load_scalar<std::uint16_t>(data.begin(), place.tag);
      read_through(out, [&](rep_t<F>& chosen) { read_union(place, tag, chosen); });
    } else {
      read(place.at[0], out);
    }
  }

  template <class R>
  void read_fields(R& out) const {
    std::size_t field = 0;
    try {
      record<R>::visit(out, [&]<class... Fs>(Fs&... fields) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          ((field = I, read_field(layout_of<R>.field(I), fields)), ...);
        }(std::index_sequence_for<Fs...>{});
      });
    } catch (const codec_error& inner) {
      throw codec_error(field_name<R>(field), inner);
    } catch (const kj::Exception& problem) {
      throw codec_error(field_name<R>(field), from_kj(problem));
    }
  }
};

template <class R>
void read_record(const capnp::AnyStruct::Reader& in, R& out, budget& memory) {
  const auto data = in.getDataSection();
  if constexpr (is_image<R>) {
    if (data.size() >= sizeof(R)) {
      std::memcpy(static_cast<void*>(&out), data.begin(), sizeof(R));
      return;
    }
  }
  const auto pointers = in.getPointerSection();
  const auto& layout = layout_of<R>;
  if (data.size() >= layout.data_bytes() && pointers.size() >= layout.pointers) [[likely]] {
    received_struct<true>{data, pointers, memory}.read_fields(out);
  } else {
    received_struct<false>{data, pointers, memory}.read_fields(out);
  }
}

}  // namespace strait::inline STRAIT_ABI::detail
