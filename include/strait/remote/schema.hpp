// What a type looks like on the wire, in words: the schema for other languages, the fingerprint and
// the layout that two ends compare before the first value is sent.
//
// Two layouts agree when they are equal, or when one record is the other with fields appended, at
// any depth: values then travel both ways, missing fields keep their C++ initialisers and extra
// ones are not looked at. Names do not matter; enumerators may be added; the unit of a std::chrono
// type matters.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/describe.hpp>
#include <strait/remote/detail/layout_text.hpp>
#include <strait/remote/detail/schema_print.hpp>

namespace strait::inline STRAIT_ABI {

/// What an end says of its type when it binds.
struct type_info {
  /// The C++ name without scopes, for messages; empty for a type that is no aggregate.
  std::string name;
  layout_fingerprint fingerprint;
  /// The text that `first_difference` compares; see detail/layout_text.hpp for its form.
  std::string layout;
};

namespace detail {

template <class T>
const type_graph& graph_of() {
  static_assert(kind_of<T> != kind::unsupported, "strait: this type cannot travel");
  static const type_graph graph = describer::describe<T>();
  return graph;
}

}  // namespace detail

/// The 128-bit fingerprint of T's layout: equal for types that differ in names only.
template <class T>
const layout_fingerprint& fingerprint() {
  static const layout_fingerprint value =
      detail::fnv1a_128(detail::layout_text(detail::graph_of<T>(), false));
  return value;
}

/// Name, fingerprint and layout of T, made once.
template <class T>
const type_info& type_info_of() {
  static const type_info info = [] {
    const detail::type_graph& graph = detail::graph_of<T>();
    const bool named = graph.root.front() == '#';
    return type_info{named ? graph.records.front().name : std::string(), fingerprint<T>(),
                     detail::layout_text(graph, true)};
  }();
  return info;
}

/// A .capnp file that describes T, which the `capnp` tool compiles. Its id comes from the
/// fingerprint.
template <class T>
std::string schema_text() {
  return detail::schema_printer::print(detail::graph_of<T>(), fingerprint<T>());
}

/// Nothing if values can travel between the two layouts; else the first field that differs, as
/// "job.text (field 1): Text here, Int64 there". `there` may be anything at all.
inline std::optional<std::string> first_difference(std::string_view here, std::string_view there) {
  if (here == there) return std::nullopt;
  std::string problem;
  const auto mine = detail::layout_parser::parse(here, problem);
  if (!mine) return "the layout here cannot be read: " + problem;
  const auto theirs = detail::layout_parser::parse(there, problem);
  if (!theirs) return "the layout there cannot be read: " + problem;
  return detail::layout_comparison(*mine, *theirs).run();
}

/// The same for what two ends said of themselves; equal fingerprints need no comparison.
inline std::optional<std::string> first_difference(const type_info& here, const type_info& there) {
  if (here.fingerprint == there.fingerprint) return std::nullopt;
  return first_difference(here.layout, there.layout);
}

}  // namespace strait::inline STRAIT_ABI
