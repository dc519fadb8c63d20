// C++ values into Cap'n Proto messages, through AnyPointer, AnyStruct and AnyList alone.
//
// Pointer fields are filled in declaration order and an empty string or list is written as an
// object, so the bytes are those of generated code that sets every field in order. Rejected:
// capnp::_::StructBuilder, which would save a few ns a pointer field but is private.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>
// The shim above must stay first.
#include <capnp/any.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/layout.hpp>
#include <strait/remote/detail/text.hpp>
#include <strait/remote/wire.hpp>

namespace strait::inline STRAIT_ABI::detail {

using any_pointers = capnp::List<capnp::AnyPointer>;

/// What Cap'n Proto can count.
inline constexpr std::size_t max_elements = (std::size_t{1} << 29) - 1;

/// `value`, a T or a map's entry, as what travels for it.
template <class T, class V>
decltype(auto) as_rep(const V& value) {
  if constexpr (!has_wire<T>) {
    return (value);
  } else if constexpr (has_wire<typename wire<T>::type>) {
    return rep_t<T>(as_rep<typename wire<T>::type>(wire<T>::write(value)));
  } else {
    return wire<T>::write(value);
  }
}

template <class R>
scalar_t<R> to_scalar(const R& value) {
  if constexpr (kind_of<R> == kind::enumeration) {
    const auto number = static_cast<std::underlying_type_t<R>>(value);
    if (!std::in_range<std::uint16_t>(+number)) {
      throw codec_error("the enumerator " + std::to_string(number) + " is not within 0 to 65535");
    }
    return static_cast<std::uint16_t>(number);
  } else if constexpr (is_a<std::chrono::time_point, R>) {
    return to_scalar(value.time_since_epoch());
  } else if constexpr (kind_of<R> == kind::time) {
    return static_cast<scalar_t<R>>(value.count());
  } else {
    return static_cast<scalar_t<R>>(value);
  }
}

/// Stores a scalar at `at`, counted in its own size, into zeroed space.
template <class R>
void store_scalar(unsigned char* data, std::size_t at, const R& value) {
  if constexpr (kind_of<R> == kind::boolean) {
    data[at / 8] = static_cast<unsigned char>(data[at / 8] | ((value ? 1u : 0u) << (at % 8)));
  } else {
    const auto stored = to_scalar(value);
    std::memcpy(data + at * sizeof stored, &stored, sizeof stored);
  }
}

template <class R>
consteval capnp::ElementSize element_size() {
  using capnp::ElementSize;
  if constexpr (kind_of<R> == kind::boolean) {
    return ElementSize::BIT;
  } else if constexpr (is_scalar<R>) {
    constexpr ElementSize by_log[] = {ElementSize::BYTE, ElementSize::TWO_BYTES,
                                      ElementSize::FOUR_BYTES, ElementSize::EIGHT_BYTES};
    return by_log[std::countr_zero(sizeof(scalar_t<R>))];
  } else if constexpr (kind_of<R> == kind::record || is_union<R>) {
    return ElementSize::INLINE_COMPOSITE;
  } else {
    static_assert(shape_of<R>() == pointer_shape);
    return ElementSize::POINTER;
  }
}

template <class R, class V>
void write_record(capnp::AnyStruct::Builder out, const V& value);
template <class R, class V>
void write_pointer(capnp::AnyPointer::Builder out, const V& value);

/// Copies `part`, whose elements lie in memory as they do in the message, or are scalars.
template <class E, class Part>
void copy_part(unsigned char* bytes, std::size_t& at, const Part& part) {
  if constexpr ((is_plain_scalar<E> || is_image<E>) && requires { std::data(part); }) {
    const std::size_t count = std::size(part);
    if (count > 0) std::memcpy(bytes + at * sizeof(E), std::data(part), count * sizeof(E));
    at += count;
  } else {
    for (const E& value : part) {
      if constexpr (is_image<E>) {
        std::memcpy(bytes + at++ * sizeof(E), &value, sizeof(E));
      } else {
        store_scalar<rep_t<E>>(bytes, at++, as_rep<E>(value));
      }
    }
  }
}

/// Writes `parts`, ranges of E one after the other, as one list.
template <class E, class... Parts>
void write_list(capnp::AnyPointer::Builder out, const Parts&... parts) {
  using R = rep_t<E>;
  const std::size_t total = (std::size_t{0} + ... + std::size(parts));
  if (total > max_elements) throw codec_error("a list of more than 536870911 elements");
  const auto count = static_cast<unsigned>(total);
  std::size_t at = 0;
  const auto each = [&](const auto& part, auto write) {
    try {
      for (const auto& value : part) write(static_cast<unsigned>(at++), as_rep<E>(value));
    } catch (const codec_error& inner) {
      throw codec_error("[]", inner);
    }
  };
  if constexpr (is_scalar<R>) {
    auto list = out.initAsAnyList(element_size<R>(), count);
    // The builder has no raw access; the reader's bytes are those of the message being built.
    auto* bytes = const_cast<unsigned char*>(list.asReader().getRawBytes().begin());
    (copy_part<E>(bytes, at, parts), ...);
  } else if constexpr (element_size<R>() == capnp::ElementSize::INLINE_COMPOSITE) {
    const auto& layout = layout_of<R>;
    auto list = out.initAsListOfAnyStruct(layout.data_words, layout.pointers, count);
    if constexpr (is_image<E>) {
      if (count > 0) (copy_part<E>(list[0].getDataSection().begin(), at, parts), ...);
    } else {
      const auto write = [&](unsigned i, const auto& value) { write_record<R>(list[i], value); };
      (each(parts, write), ...);
    }
  } else {
    auto list = out.initAsAnyList(element_size<R>(), count).template as<any_pointers>();
    const auto write = [&](unsigned i, const auto& value) { write_pointer<R>(list[i], value); };
    (each(parts, write), ...);
  }
}

/// Writes anything that a pointer holds; a scalar or a union as a record of one field.
template <class R, class V>
void write_pointer(capnp::AnyPointer::Builder out, const V& value) {
  if constexpr (kind_of<R> == kind::text) {
    if (!is_utf8(value)) {
      throw codec_error("a string that is not UTF-8; bytes travel as std::vector<char>");
    }
    out.template setAs<capnp::Text>(capnp::Text::Reader(value.data(), value.size()));
  } else if constexpr (kind_of<R> == kind::data) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(value.data());
    out.template setAs<capnp::Data>(capnp::Data::Reader(bytes, value.size()));
  } else if constexpr (kind_of<R> == kind::list || kind_of<R> == kind::map) {
    write_list<element_t<R>>(out, value);
  } else {
    const auto& layout = layout_of<R>;
    write_record<R>(out.initAsAnyStruct(layout.data_words, layout.pointers), value);
  }
}

/// A struct's two sections while it is filled.
struct open_struct {
  unsigned char* data;
  any_pointers::Builder pointers;

  /// F is the type of a field that is no union, or of a union's member.
  template <class F>
  void write(std::uint32_t at, const F& value) {
    if constexpr (is_scalar<F>) {
      store_scalar<rep_t<F>>(data, at, as_rep<F>(value));
    } else if constexpr (!std::is_same_v<F, std::monostate>) {
      write_pointer<rep_t<F>>(pointers[at], as_rep<F>(value));
    }
  }

  void write_tag(std::uint32_t at, std::size_t member) {
    store_scalar<std::uint16_t>(data, at, static_cast<std::uint16_t>(member));
  }

  template <class T>
  void write_union(const placement& place, const std::optional<T>& value) {
    write_tag(place.tag, value.has_value() ? 1 : 0);
    if (value) write<T>(place.at[1], *value);
  }
  template <class... Ts>
  void write_union(const placement& place, const std::variant<Ts...>& value) {
    if (value.valueless_by_exception()) throw codec_error("a variant that lost its value");
    write_tag(place.tag, value.index());
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((value.index() == I ? write<Ts>(place.at[I], *std::get_if<I>(&value)) : void()), ...);
    }(std::index_sequence_for<Ts...>{});
  }

  template <class F>
  void write_field(const placement& place, const F& value) {
    if constexpr (is_union<F>) {
      write_union(place, as_rep<F>(value));
    } else {
      write<F>(place.at[0], value);
    }
  }
};

template <class R, class V>
void write_record(capnp::AnyStruct::Builder out, const V& value) {
  if constexpr (is_image<R>) {
    std::memcpy(out.getDataSection().begin(), &value, sizeof(R));
  } else {
    open_struct sections{out.getDataSection().begin(), out.getPointerSection()};
    std::size_t field = 0;
    try {
      record<R>::visit(value, [&]<class... Fs>(const Fs&... fields) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          ((field = I, sections.template write_field<Fs>(layout_of<R>.field(I), fields)), ...);
        }(std::index_sequence_for<Fs...>{});
      });
    } catch (const codec_error& inner) {
      throw codec_error(field_name<R>(field), inner);
    }
  }
}

// -------------------------------------------------------------------------------------------------
// Sizes, in words, without the pointer that leads there

template <class R, class V>
std::size_t record_words(const V& value);

template <class E, class... Parts>
std::size_t list_words(const Parts&... parts);

template <class R, class V>
std::size_t pointer_words(const V& value) {
  if constexpr (kind_of<R> == kind::text) {
    return (value.size() + 8) / 8;
  } else if constexpr (kind_of<R> == kind::data) {
    return (value.size() + 7) / 8;
  } else if constexpr (kind_of<R> == kind::list || kind_of<R> == kind::map) {
    return list_words<element_t<R>>(value);
  } else {
    return record_words<R>(value);
  }
}

template <class E, class... Parts>
std::size_t list_words(const Parts&... parts) {
  using R = rep_t<E>;
  const std::size_t count = (std::size_t{0} + ... + std::size(parts));
  if constexpr (kind_of<R> == kind::boolean) {
    return (count + 63) / 64;
  } else if constexpr (is_scalar<R>) {
    return (count * sizeof(scalar_t<R>) + 7) / 8;
  } else if constexpr (is_image<E>) {
    return 1 + count * layout_of<R>.data_words;
  } else {
    constexpr bool inlined = element_size<R>() == capnp::ElementSize::INLINE_COMPOSITE;
    std::size_t words = inlined ? 1 : count;
    const auto add = [&](const auto& part) {
      for (const auto& value : part) {
        if constexpr (inlined) {
          words += record_words<R>(as_rep<E>(value));
        } else {
          words += pointer_words<R>(as_rep<E>(value));
        }
      }
    };
    (add(parts), ...);
    return words;
  }
}

template <class F>
std::size_t member_words(const F& value) {
  if constexpr (is_scalar<F> || std::is_same_v<F, std::monostate>) {
    return 0;
  } else {
    return pointer_words<rep_t<F>>(as_rep<F>(value));
  }
}

template <class F>
std::size_t field_words(const F& value) {
  if constexpr (kind_of<F> == kind::optional) {
    const auto& chosen = as_rep<F>(value);
    return chosen ? member_words(*chosen) : 0;
  } else if constexpr (kind_of<F> == kind::variant) {
    const auto& chosen = as_rep<F>(value);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      std::size_t words = 0;
      ((chosen.index() == I ? void(words = member_words(*std::get_if<I>(&chosen))) : void()), ...);
      return words;
    }(std::make_index_sequence<std::variant_size_v<rep_t<F>>>{});
  } else {
    return member_words(value);
  }
}

template <class R, class V>
std::size_t record_words(const V& value) {
  const std::size_t own = std::size_t{layout_of<R>.data_words} + layout_of<R>.pointers;
  return own + record<R>::visit(value, [](const auto&... fields) {
           return (std::size_t{0} + ... + field_words(fields));
         });
}

}  // namespace strait::inline STRAIT_ABI::detail
