// What C++20 lets a library find out about a plain aggregate: how many members it has, their types,
// and, where the compiler tells, their names.
//
// Arity and members come from the tables in members.hpp. A name is read from the compiler's own
// text for a function whose template argument is the address of a member of an object that is
// declared but never defined (the technique is Boost.PFR's). Nothing on the wire depends on a name:
// one that cannot be read is f0, f1, ...
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/members.hpp>

namespace strait::inline STRAIT_ABI::detail {

template <class... Ts>
struct type_list {
  static constexpr std::size_t size = sizeof...(Ts);
};

template <class T>
inline constexpr std::size_t arity = count_members<T>();

struct collect_types {
  template <class... Ts>
  constexpr type_list<std::remove_const_t<Ts>...> operator()(Ts&...) const {
    return {};
  }
};

/// The members' types of the aggregate T, in order.
template <class T>
using member_types =
    decltype(visit_members<arity<T>>(std::declval<T&>(), std::declval<collect_types>()));

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

template <class T>
struct holder {
  T value;
};
/// Only the addresses of its members are ever named.
template <class T>
extern holder<T> never_defined;

struct collect_addresses {
  template <class... Ts>
  constexpr std::array<const void*, sizeof...(Ts)> operator()(Ts&... members) const {
    return {static_cast<const void*>(&members)...};
  }
};

template <class T>
consteval auto member_addresses() {
  return visit_members<arity<T>>(never_defined<T>.value, collect_addresses{});
}

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

/// Where a pointer to a subobject may not be a template argument, a class that holds one may.
struct subobject {
  const void* address;
};

template <subobject S>
consteval std::string_view subobject_signature() {
  return __PRETTY_FUNCTION__;
}

template <auto V>
consteval std::string_view value_signature() {
  return __PRETTY_FUNCTION__;
}

template <class T>
consteval std::string_view type_signature() {
  return __PRETTY_FUNCTION__;
}

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_identifier_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

/// The last identifier of `text`, or nothing if what ends it is none.
constexpr std::string_view last_identifier(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0 && !is_identifier_char(text[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && is_identifier_char(text[begin - 1])) --begin;
  if (begin < end && is_digit(text[begin])) begin = end;
  return text.substr(begin, end - begin);
}

/// What stands for the template argument in a signature: GCC writes `[with auto V = X; ...]`, clang
/// `[V = X]`.
constexpr std::string_view signature_argument(std::string_view signature) {
  std::size_t begin = signature.find(" = ");
  begin = begin == signature.npos ? 0 : begin + 3;
  std::size_t end = signature.find("; std::string_view");
  if (end == signature.npos) end = signature.rfind(']');
  return signature.substr(begin, end == signature.npos ? signature.npos : end - begin);
}

/// The name of member I of the aggregate T; empty if the compiler does not tell.
template <class T, std::size_t I>
consteval std::string_view member_name() {
  return last_identifier(
      signature_argument(subobject_signature<subobject{member_addresses<T>()[I]}>()));
}

/// The name of the aggregate T without its scopes and template arguments.
template <class T>
consteval std::string_view type_name() {
  std::string_view text = signature_argument(type_signature<T>());
  // A scope may hold brackets of its own, as in `outer<int>::inner`: only a trailing list goes.
  if (!text.empty() && text.back() == '>') {
    std::size_t depth = 0, at = text.size();
    do {
      --at;
      depth += text[at] == '>' ? 1u : 0u;
      depth -= text[at] == '<' ? 1u : 0u;
    } while (depth > 0 && at > 0);
    text = text.substr(0, at);
  }
  return last_identifier(text);
}

/// The name of the enumerator of value V; empty if V has none.
template <auto V>
consteval std::string_view enumerator_name() {
  const std::string_view text = signature_argument(value_signature<V>());
  return text.empty() || text.back() == ')' ? std::string_view{} : last_identifier(text);
}

}  // namespace strait::inline STRAIT_ABI::detail
