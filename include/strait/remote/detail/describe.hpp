// A C++ type as a graph of records, made at run time, once: what is printed as a schema, hashed as
// a fingerprint, sent as a layout and compared with a peer's.
//
// Only this header's templates see the C++ type; printing and comparing work on the graph.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/layout.hpp>
#include <strait/remote/detail/reflect.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// One ordinal of a record: a field, or one member of a field that is a union.
struct field_text {
  std::string name;
  /// "Int32", "Text", "Enum", "List(List(#2))", "#1" (a record by its index), and, where the
  /// meaning of a number is part of the contract, more after a colon: "Int64:duration:1/1000".
  std::string type;
  /// Which union of the record this is a member of, from 0, or -1; and the member's own name.
  int union_index = -1;
  std::string member{};
  /// For the schema: which of the graph's enums "Enum" is.
  std::size_t enum_index = 0;
};

struct record_text {
  std::string name;
  std::vector<field_text> fields;
};

struct enum_text {
  std::string name;
  std::vector<std::string> enumerators;
};

struct type_graph {
  /// The type of one value in a batch.
  std::string root;
  std::vector<record_text> records;
  std::vector<enum_text> enums{};
};

/// The address of one of these stands for a type while a graph is made.
template <class T>
inline constexpr char type_identity = 0;
/// A map's entry: a pair whose fields have other names.
template <class K, class V>
struct map_entry;

class describer {
 public:
  template <class T>
  static type_graph describe() {
    describer self;
    field_text whole;
    self.graph_.root = self.element_type<rep_t<T>>("value", whole);
    return std::move(self.graph_);
  }

 private:
  /// The type of a list's element, where a union is boxed.
  template <class R>
  std::string element_type(const std::string& hint, field_text& field) {
    if constexpr (is_union<R>) {
      return record_type<R>(hint + "_item");
    } else {
      return type_of<R>(hint, field);
    }
  }

  template <class R>
  std::string type_of(const std::string& hint, field_text& field) {
    if constexpr (kind_of<R> == kind::boolean) {
      return "Bool";
    } else if constexpr (kind_of<R> == kind::number) {
      const std::string bits = std::to_string(sizeof(R) * 8);
      using stored = scalar_t<R>;
      if constexpr (std::is_floating_point_v<stored>) {
        return "Float" + bits;
      } else {
        return (std::is_signed_v<stored> ? "Int" : "UInt") + bits;
      }
    } else if constexpr (kind_of<R> == kind::enumeration) {
      field.enum_index = enum_index<R>();
      return "Enum";
    } else if constexpr (kind_of<R> == kind::time) {
      return time_type<R>();
    } else if constexpr (kind_of<R> == kind::text) {
      return "Text";
    } else if constexpr (kind_of<R> == kind::data) {
      return "Data";
    } else if constexpr (kind_of<R> == kind::map) {
      return "List(" +
             entry_type<rep_t<typename R::key_type>, rep_t<typename R::mapped_type>, R>(hint) + ")";
    } else if constexpr (kind_of<R> == kind::list) {
      return "List(" + element_type<rep_t<element_t<R>>>(hint, field) + ")";
    } else {
      static_assert(shape_of<R>() == pointer_shape);
      return record_type<R>(hint);
    }
  }

  template <class R>
  static std::string time_type() {
    using period = typename R::duration::period;
    std::string clock = "duration";
    if constexpr (is_a<std::chrono::time_point, R>) {
      if constexpr (std::is_same_v<typename R::clock, std::chrono::system_clock>) {
        clock = "system";
      } else if constexpr (std::is_same_v<typename R::clock, std::chrono::steady_clock>) {
        clock = "steady";
      } else {
        clock = type_name<typename R::clock>();
      }
    }
    return (std::is_same_v<scalar_t<R>, double> ? "Float64:" : "Int64:") + clock + ":" +
           std::to_string(period::num) + "/" + std::to_string(period::den);
  }

  /// The reference to the record R. A hint names those that have no name of their own.
  template <class R>
  std::string record_type(const std::string& hint) {
    return reference(&type_identity<R>, record_name<R>(hint), [&](record_text& record) {
      add_fields<R>(record, typename detail::record<R>::types{});
    });
  }

  template <class K, class V, class Map>
  std::string entry_type(const std::string& hint) {
    return reference(&type_identity<map_entry<K, V>>, hint + "_entry", [&](record_text& record) {
      int unions = 0;
      add_field<typename Map::key_type>(record, "key", unions);
      add_field<typename Map::mapped_type>(record, "value", unions);
    });
  }

  /// The index is given before the fields are added, so that a type may hold lists of itself.
  template <class Fill>
  std::string reference(const void* identity, const std::string& name, Fill&& fill) {
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      if (seen_[i] == identity) return "#" + std::to_string(i);
    }
    const std::size_t index = seen_.size();
    seen_.push_back(identity);
    graph_.records.push_back({name, {}});
    record_text record{name, {}};
    fill(record);
    graph_.records[index] = std::move(record);
    return "#" + std::to_string(index);
  }

  template <class R>
  static std::string record_name(const std::string& hint) {
    if constexpr (kind_of<R> == kind::record && std::is_aggregate_v<R>) {
      const std::string name(type_name<R>());
      return name.empty() ? hint : name;
    } else {
      return hint;
    }
  }

  template <class R, class... Fs>
  void add_fields(record_text& record, type_list<Fs...>) {
    [[maybe_unused]] std::size_t index = 0;
    [[maybe_unused]] int unions = 0;
    (add_field<Fs>(record, plain_name<R>(index++), unions), ...);
  }

  template <class R>
  static std::string plain_name(std::size_t index) {
    std::string name = field_name<R>(index);
    return name.empty() ? "value" : name;
  }

  template <class F>
  void add_field(record_text& record, const std::string& name, int& unions) {
    using R = rep_t<F>;
    if constexpr (is_union<R>) {
      add_union<R>(record, name, unions++, union_types<R>{});
    } else {
      field_text field{.name = name, .type = {}};
      field.type = type_of<R>(name, field);
      record.fields.push_back(std::move(field));
    }
  }

  template <class U, class... Ms>
  void add_union(record_text& record, const std::string& name, int index, type_list<Ms...>) {
    std::size_t at = 0;
    (add_member<Ms>(record, name, index, kind_of<U> == kind::optional && at++ == 1), ...);
  }

  template <class M>
  void add_member(record_text& record, const std::string& name, int index, bool is_some) {
    field_text field{.name = name, .type = "Void", .union_index = index};
    if constexpr (!std::is_same_v<M, std::monostate>) {
      field.type = element_type<rep_t<M>>(name, field);
    }
    field.member = is_some ? "some" : member_name_of(field.type);
    record.fields.push_back(std::move(field));
  }

  /// A variant's members have no names, so each is called what its type is.
  std::string member_name_of(const std::string& type) const {
    if (type == "Void") return "none";
    if (type.front() == '#') return graph_.records[std::stoul(type.substr(1))].name;
    std::string name = type.substr(0, type.find_first_of(":("));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return name;
  }

  /// Cap'n Proto numbers enumerators from 0 without a gap, so those are what a schema can name;
  /// values beyond travel as numbers.
  template <class E>
  std::size_t enum_index() {
    const void* const identity = &type_identity<E>;
    for (std::size_t i = 0; i < seen_enums_.size(); ++i) {
      if (seen_enums_[i] == identity) return i;
    }
    seen_enums_.push_back(identity);
    enum_text text{std::string(type_name<E>()), {}};
    add_enumerators<E, 0>(text);
    graph_.enums.push_back(std::move(text));
    return graph_.enums.size() - 1;
  }

  template <class E, int Value>
  static void add_enumerators(enum_text& text) {
    using number = std::underlying_type_t<E>;
    if constexpr (Value < 256 && std::cmp_less_equal(Value, +std::numeric_limits<number>::max())) {
      constexpr std::string_view name = enumerator_name<static_cast<E>(Value)>();
      if constexpr (!name.empty()) {
        text.enumerators.emplace_back(name);
        add_enumerators<E, Value + 1>(text);
      }
    }
  }

  type_graph graph_;
  std::vector<const void*> seen_;
  std::vector<const void*> seen_enums_;
};

}  // namespace strait::inline STRAIT_ABI::detail
