// A type graph as the text of a .capnp file, for programs in other languages.
//
// Cap'n Proto wants types in CamelCase, fields in camelCase and no underscore, so names are changed
// to that; two that become one get a number. Ordinals, and with them the layout, are those of the
// graph. A name is never a reason for the capnp tool to refuse the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/layout_text.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Names that are taken in one scope.
class name_scope {
 public:
  name_scope() = default;
  name_scope(std::initializer_list<const char*> taken) : taken_(taken.begin(), taken.end()) {}

  /// `name` in camel case, beginning with a capital or not, made unique.
  std::string add(std::string_view name, bool capital) {
    std::string camel;
    bool raise = capital;
    for (const char c : name) {
      if (!is_identifier_char(c) || c == '_') {
        raise = raise || !camel.empty();
      } else {
        camel += raise ? upper(c) : (camel.empty() ? lower(c) : c);
        raise = false;
      }
    }
    if (camel.empty() || is_digit(camel.front())) camel.insert(0, capital ? "T" : "f");
    std::string unique = camel;
    for (unsigned n = 2; !taken_.insert(unique).second; ++n) unique = camel + std::to_string(n);
    return unique;
  }

 private:
  static char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

  std::set<std::string> taken_;
};

class schema_printer {
 public:
  static std::string print(const type_graph& graph, const layout_fingerprint& fingerprint) {
    schema_printer self(graph);
    return self.file(fingerprint);
  }

 private:
  explicit schema_printer(const type_graph& graph) : graph_(graph) {
    for (const record_text& record : graph.records)
      records_.push_back(types_.add(record.name, true));
    for (const enum_text& text : graph.enums) enums_.push_back(types_.add(text.name, true));
    items_ = types_.add("Items", true);
  }

  std::string file(const layout_fingerprint& fingerprint) {
    const std::string root = type(graph_.root, 0);
    // The tool demands the top bit of an id.
    layout_fingerprint id = fingerprint;
    id.high |= std::uint64_t{1} << 63;
    std::string out = "# What travels in a strait channel of " + root + ".\n# Layout fingerprint " +
                      fingerprint.hex() + ".\n@0x" + id.hex().substr(0, 16) + ";\n";
    for (std::size_t i = 0; i < graph_.records.size(); ++i) out += record(i);
    for (std::size_t i = 0; i < graph_.enums.size(); ++i) out += enumeration(i);
    out += "\nstruct " + items_ +
           " {\n  # A message's `items`, an AnyPointer, holds what `list` holds here.\n"
           "  list @0 :List(" +
           root + ");\n}\n";
    return out;
  }

  std::string record(std::size_t index) {
    std::string out = "\nstruct " + records_[index] + " {\n";
    name_scope names;
    const std::vector<field_text>& fields = graph_.records[index].fields;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const field_text& field = fields[i];
      if (field.union_index < 0) {
        out += line("  ", names.add(field.name, false), i, field);
        continue;
      }
      out += "  " + names.add(field.name, false) + " :union {\n";
      name_scope members;
      std::size_t last = i;
      for (; last < fields.size() && fields[last].union_index == field.union_index; ++last) {
        out += line("    ", members.add(fields[last].member, false), last, fields[last]);
      }
      out += "  }\n";
      i = last - 1;
    }
    return out + "}\n";
  }

  std::string line(const char* indent, const std::string& name, std::size_t ordinal,
                   const field_text& field) const {
    const std::string& text = field.type;
    const std::size_t colon = text.find(':');
    std::string out =
        indent + name + " @" + std::to_string(ordinal) + " :" + type(text, field.enum_index) + ";";
    // What the number means has no place in a Cap'n Proto type.
    if (colon != text.npos) {
      std::string meaning = text.substr(colon + 1, text.find(')') - colon - 1);
      const std::size_t unit = meaning.find(':');
      std::string period = meaning.substr(unit + 1);
      if (period.ends_with("/1")) period.resize(period.size() - 2);
      out += "  # " + meaning.substr(0, unit) + ", in " + period + " s";
    }
    return out + "\n";
  }

  std::string type(std::string_view text, std::size_t enum_index) const {
    if (text.substr(0, 5) == "List(") {
      return "List(" + type(text.substr(5, text.size() - 6), enum_index) + ")";
    }
    if (text.front() == '#') return records_[std::stoul(std::string(text.substr(1)))];
    if (text != "Enum") return std::string(text.substr(0, text.find(':')));
    if (graph_.enums.empty() || graph_.enums[enum_index].enumerators.empty()) return "UInt16";
    return enums_[enum_index];
  }

  std::string enumeration(std::size_t index) const {
    // Cap'n Proto has no empty enum: one whose first enumerator is not 0 is its number.
    if (graph_.enums[index].enumerators.empty()) return {};
    std::string out = "\nenum " + enums_[index] + " {\n";
    name_scope names;
    std::size_t value = 0;
    for (const std::string& name : graph_.enums[index].enumerators) {
      out += "  " + names.add(name, false) + " @" + std::to_string(value++) + ";\n";
    }
    return out + "}\n";
  }

  const type_graph& graph_;
  // A type of the file hides a built-in of the same name, and generated C++ nests classes of the
  // later names in every struct.
  name_scope types_{"Void",    "Bool",       "Int8",      "Int16",      "Int32",
                    "Int64",   "UInt8",      "UInt16",    "UInt32",     "UInt64",
                    "Float32", "Float64",    "Text",      "Data",       "List",
                    "AnyList", "AnyPointer", "AnyStruct", "Capability", "Reader",
                    "Builder", "Pipeline",   "Client",    "Server",     "Which"};
  std::vector<std::string> records_;
  std::vector<std::string> enums_;
  std::string items_;
};

}  // namespace strait::inline STRAIT_ABI::detail
