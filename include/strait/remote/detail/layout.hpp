// Which Cap'n Proto type stands for a C++ type, and where each field of a record lies.
//
// A record is an aggregate, pair or tuple; and any other type as a record of one field, which is
// its form where only a struct will do (an optional in a list, an integer sent by itself). optional
// and variant are unions inside the record; in a union, a list or a map they are boxed into a
// record of their own.
//
// Everything here is known at compile time: an encoder is stores at constant offsets.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/placer.hpp>
#include <strait/remote/detail/reflect.hpp>
#include <strait/remote/wire.hpp>

namespace strait::inline STRAIT_ABI::detail {

static_assert(std::endian::native == std::endian::little,
              "strait: the codec copies data sections as they are, which are little-endian");

enum class kind : std::uint8_t {
  unsupported,
  boolean,
  number,
  enumeration,
  time,  // duration or time_point
  text,  // std::string
  data,  // vector or array of bytes
  list,  // vector, array or set
  map,
  optional,
  variant,
  record,
};

template <template <class...> class Template, class T>
inline constexpr bool is_a = false;
template <template <class...> class Template, class... Args>
inline constexpr bool is_a<Template, Template<Args...>> = true;

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t N>
inline constexpr bool is_std_array<std::array<T, N>> = true;

/// The element type of a vector, array or set, or std::pair<K, V> for a map.
template <class T>
struct element {};
template <class T>
  requires requires { typename T::value_type; } && (!requires { typename T::mapped_type; })
struct element<T> {
  using type = typename T::value_type;
};
template <class T>
  requires requires { typename T::mapped_type; }
struct element<T> {
  using type = std::pair<typename T::key_type, typename T::mapped_type>;
};
template <class T>
using element_t = typename element<T>::type;

template <class T>
concept has_wire = requires { typename wire<T>::type; };
template <class T>
concept is_map = requires(T t) {
  typename T::mapped_type;
  t.insert_or_assign(std::declval<typename T::key_type>(), std::declval<typename T::mapped_type>());
};
template <class T>
concept is_set = requires(T t) {
  typename T::key_type;
  t.insert(std::declval<typename T::key_type>());
} && !requires { typename T::mapped_type; };

template <class T>
inline constexpr bool is_byte_like =
    std::is_same_v<T, std::byte> || std::is_same_v<T, char> || std::is_same_v<T, unsigned char>;

/// Whether each number of the underlying type is a value of the enum: not so for one that says
/// nothing of that type, in which a peer's number would be undefined behaviour.
template <class T>
inline constexpr bool has_all_numbers = requires { T{0}; };

/// The type that stands for T on the wire: wire<T>::type, resolved, or T.
template <class T>
struct represented {
  using type = T;
};
template <has_wire T>
struct represented<T> {
  using type = typename represented<typename wire<T>::type>::type;
};
template <class T>
using rep_t = typename represented<std::remove_cv_t<T>>::type;

template <class T>
consteval kind classify() {
  if constexpr (std::is_same_v<T, bool>) {
    return kind::boolean;
  } else if constexpr (std::is_same_v<T, std::byte> || std::is_same_v<T, float> ||
                       std::is_same_v<T, double>) {
    return kind::number;
  } else if constexpr (std::is_integral_v<T>) {
    // The width of a wchar_t depends on the platform, so a peer could not know it.
    return sizeof(T) <= 8 && !std::is_same_v<T, wchar_t> ? kind::number : kind::unsupported;
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(has_all_numbers<T>,
                  "strait: to travel, this enum needs an underlying type (enum color : int)");
    return kind::enumeration;
  } else if constexpr (is_a<std::chrono::duration, T> || is_a<std::chrono::time_point, T>) {
    return kind::time;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return kind::text;
  } else if constexpr (is_a<std::optional, T>) {
    return kind::optional;
  } else if constexpr (is_a<std::variant, T>) {
    return kind::variant;
  } else if constexpr (is_a<std::pair, T> || is_a<std::tuple, T>) {
    return kind::record;
  } else if constexpr (is_a<std::vector, T> || is_std_array<T>) {
    return is_byte_like<element_t<T>> ? kind::data : kind::list;
  } else if constexpr (is_map<T>) {
    return kind::map;
  } else if constexpr (is_set<T>) {
    return kind::list;
  } else if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>) {
    return kind::record;
  } else {
    return kind::unsupported;
  }
}

template <class T>
inline constexpr kind kind_of = classify<rep_t<T>>();

template <class T>
inline constexpr bool is_scalar = kind_of<T> == kind::boolean || kind_of<T> == kind::number ||
                                  kind_of<T> == kind::enumeration || kind_of<T> == kind::time;
template <class T>
inline constexpr bool is_union = kind_of<T> == kind::optional || kind_of<T> == kind::variant;

/// What a scalar is in a data section. A floating duration keeps its count as it is.
template <class T>
struct scalar_storage {
  using type = T;
};
template <class T>
  requires std::is_enum_v<T>
struct scalar_storage<T> {
  using type = std::uint16_t;
};
template <>
struct scalar_storage<std::byte> {
  using type = std::uint8_t;
};
template <>
struct scalar_storage<char> {
  using type = std::uint8_t;
};
template <class Rep, class Period>
struct scalar_storage<std::chrono::duration<Rep, Period>> {
  using type = std::conditional_t<std::is_floating_point_v<Rep>, double, std::int64_t>;
};
template <class Clock, class Duration>
struct scalar_storage<std::chrono::time_point<Clock, Duration>> : scalar_storage<Duration> {};
template <class T>
using scalar_t = typename scalar_storage<rep_t<T>>::type;

// -------------------------------------------------------------------------------------------------
// Records

/// `types` in field order, and visit(value, f) -> f(fields...).
template <class T>
struct record {
  using types = type_list<T>;
  template <class V, class F>
  static constexpr decltype(auto) visit(V& value, F&& f) {
    return f(value);
  }
};
template <class T>
  requires(kind_of<T> == kind::record && std::is_aggregate_v<T>)
struct record<T> {
  using types = member_types<T>;
  template <class V, class F>
  static constexpr decltype(auto) visit(V& value, F&& f) {
    return visit_members<arity<T>>(value, std::forward<F>(f));
  }
};
template <class... Ts>
struct record<std::tuple<Ts...>> {
  using types = type_list<Ts...>;
  template <class V, class F>
  static constexpr decltype(auto) visit(V& value, F&& f) {
    return std::apply(std::forward<F>(f), value);
  }
};
template <class A, class B>
struct record<std::pair<A, B>> {
  using types = type_list<A, B>;
  template <class V, class F>
  static constexpr decltype(auto) visit(V& value, F&& f) {
    return f(value.first, value.second);
  }
};

/// The name of field `index` of the record R as its C++ source has it; for the one field of a boxed
/// type, which has no name, it is empty.
template <class R>
std::string field_name(std::size_t index) {
  if constexpr (kind_of<R> != kind::record) {
    return {};
  } else if constexpr (is_a<std::pair, R>) {
    return index == 0 ? "first" : "second";
  } else if constexpr (std::is_aggregate_v<R>) {
    static constexpr auto names = []<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<std::string_view, sizeof...(I)>{member_name<R, I>()...};
    }(std::make_index_sequence<arity<R>>{});
    if (index < names.size() && !names[index].empty()) return std::string(names[index]);
  }
  return "f" + std::to_string(index);
}

// -------------------------------------------------------------------------------------------------
// The layout of a record type

template <class T>
struct members_of_union {};
template <class T>
struct members_of_union<std::optional<T>> {
  using types = type_list<std::monostate, T>;
};
template <class... Ts>
struct members_of_union<std::variant<Ts...>> {
  static_assert(sizeof...(Ts) >= 2, "strait: a variant of one type cannot travel: use the type");
  using types = type_list<Ts...>;
};
template <class T>
using union_types = typename members_of_union<rep_t<T>>::types;

template <class T>
consteval shape shape_of() {
  if constexpr (kind_of<T> == kind::boolean) {
    return 0;
  } else if constexpr (is_scalar<T>) {
    return static_cast<shape>(std::countr_zero(sizeof(scalar_t<T>) * 8));
  } else {
    static_assert(
        kind_of<T> != kind::unsupported,
        "strait: this type cannot travel: it is no aggregate, no container and no number; "
        "specialise strait::wire for it");
    return pointer_shape;
  }
}

/// Of a union's member; only there is monostate the type of nothing.
template <class T>
consteval shape member_shape() {
  if constexpr (std::is_same_v<T, std::monostate>) {
    return void_shape;
  } else if constexpr (is_union<T>) {
    return pointer_shape;
  } else {
    return shape_of<T>();
  }
}

template <class F>
inline constexpr std::size_t ordinals_of = 1;
template <class F>
  requires is_union<F>
inline constexpr std::size_t ordinals_of<F> = union_types<F>::size;

/// Where a field lies: at[0] for one that is no union; else each of its members, and the tag.
struct placement {
  std::uint32_t tag;
  const std::uint32_t* at;
};

/// Plain arrays, not a tuple of placements: that would be a class hierarchy for every record.
template <std::size_t Fields, std::size_t Ordinals>
struct record_layout {
  std::uint16_t data_words = 0;
  std::uint16_t pointers = 0;
  std::array<std::uint32_t, Fields> tags{};
  std::array<std::uint16_t, Fields> first{};
  std::array<std::uint32_t, Ordinals> at{};

  constexpr placement field(std::size_t index) const {
    return {tags[index], at.data() + first[index]};
  }

  constexpr std::size_t data_bytes() const { return data_words * std::size_t{8}; }
};

template <class... Ms>
constexpr void copy_shapes(shape* out, type_list<Ms...>) {
  ((*out++ = member_shape<Ms>()), ...);
}

/// The shapes of F's ordinals; returns where the next field's go.
template <class F>
constexpr shape* add_shapes(shape* out) {
  if constexpr (is_union<F>) {
    copy_shapes(out, union_types<F>{});
  } else {
    *out = shape_of<F>();
  }
  return out + ordinals_of<F>;
}

template <class... Fs>
consteval auto lay_out(type_list<Fs...>) {
  constexpr std::size_t ordinals = (std::size_t{0} + ... + ordinals_of<Fs>);
  // A spare element, because there may be no field at all.
  const std::array<std::size_t, sizeof...(Fs) + 1> counts{ordinals_of<Fs>..., 0};
  const std::array<bool, sizeof...(Fs) + 1> unions{is_union<Fs>..., false};
  std::array<shape, ordinals + 1> shapes{};
  [[maybe_unused]] shape* next = shapes.data();
  ((next = add_shapes<Fs>(next)), ...);

  record_layout<sizeof...(Fs), ordinals> layout;
  placer space;
  std::size_t ordinal = 0;
  for (std::size_t field = 0; field < sizeof...(Fs); ++field) {
    layout.first[field] = static_cast<std::uint16_t>(ordinal);
    if (!unions[field]) {
      layout.at[ordinal] = space.add(shapes[ordinal]);
      ++ordinal;
      continue;
    }
    placer::union_members members(space);
    for (const std::size_t end = ordinal + counts[field]; ordinal < end; ++ordinal) {
      layout.at[ordinal] = members.add(shapes[ordinal]);
    }
    layout.tags[field] = members.tag();
  }
  layout.data_words = static_cast<std::uint16_t>(space.data_words());
  layout.pointers = static_cast<std::uint16_t>(space.pointers());
  return layout;
}

template <class T>
inline constexpr auto layout_of = lay_out(typename record<rep_t<T>>::types{});

// -------------------------------------------------------------------------------------------------
// Images

/// A scalar whose bytes are those of its place: any bit pattern is a value, and none needs a check.
template <class T>
inline constexpr bool is_plain_scalar = [] {
  if constexpr (has_wire<T>) {
    return false;
  } else if constexpr (kind_of<T> == kind::number) {
    return true;
  } else if constexpr (kind_of<T> == kind::time) {
    return sizeof(T) == sizeof(scalar_t<T>) &&
           (std::is_integral_v<typename T::rep> ? std::is_signed_v<typename T::rep> : true);
  } else {
    return false;
  }
}();

template <class T, class... Fs, std::size_t... I>
consteval bool fields_are_in_place(type_list<Fs...>, std::index_sequence<I...>) {
  if constexpr (sizeof...(Fs) > 0 && (is_plain_scalar<Fs> && ...)) {
    std::size_t end = 0;
    bool in_place = true;
    ((in_place = in_place && layout_of<T>.at[I] * sizeof(Fs) == end, end += sizeof(Fs)), ...);
    // Members lie in declaration order; sizes that add up to the whole leave no room for padding.
    return in_place && end == sizeof(T) && end == layout_of<T>.data_bytes();
  } else {
    return false;
  }
}

/// Whether T, a trivially copyable aggregate, is byte for byte its own data section.
template <class T>
inline constexpr bool is_image = [] {
  if constexpr (kind_of<T> == kind::record && std::is_trivially_copyable_v<T> &&
                std::is_aggregate_v<T> && !has_wire<T>) {
    using types = typename record<T>::types;
    return fields_are_in_place<T>(types{}, std::make_index_sequence<types::size>{});
  } else {
    return false;
  }
}();

}  // namespace strait::inline STRAIT_ABI::detail
