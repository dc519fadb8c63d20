// The layout of a type as text: how it is written, read back from a peer, hashed and compared.
//
//     strait-layout 1          the form's version
//     = #0                     the type of one value
//     #0 job                   a record, and then its ordinals in order
//     id UInt64
//     when|0.none Void         a member of the record's union 0
//     when|0.some #1
//     #1 point
//     x Int32
//
// Names are there for messages only. The fingerprint is FNV-1a, 128 bits (Fowler, Noll, Vo; offset
// basis and prime as in RFC 9923), over the same text with each name left out. It tells layouts
// apart and protects from nothing: the decoder trusts no peer whatever its fingerprint.
//
// The text comes from anybody: sizes, counts, references and characters are checked when it is
// read, and a comparison visits each pair of records once, to a bounded depth.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <strait/detail/config.hpp>
#include <strait/remote/detail/describe.hpp>

namespace strait::inline STRAIT_ABI {

/// 128 bits that differ for two layouts which differ in more than names.
struct layout_fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend bool operator==(const layout_fingerprint&, const layout_fingerprint&) = default;

  /// Big-endian, as it is sent.
  std::array<unsigned char, 16> bytes() const {
    std::array<unsigned char, 16> out{};
    for (unsigned i = 0; i < 8; ++i) {
      out[i] = static_cast<unsigned char>(high >> (56 - 8 * i));
      out[8 + i] = static_cast<unsigned char>(low >> (56 - 8 * i));
    }
    return out;
  }
  /// 32 hexadecimal digits.
  std::string hex() const {
    std::string out;
    for (const unsigned char byte : bytes()) {
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
    return out;
  }
};

namespace detail {

inline layout_fingerprint fnv1a_128(std::string_view text) {
  __extension__ using u128 = unsigned __int128;
  const u128 prime = (u128{0x0000000001000000u} << 64) | 0x000000000000013bu;
  u128 hash = (u128{0x6c62272e07bb0142u} << 64) | 0x62b821756295c58du;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * prime;
  return {static_cast<std::uint64_t>(hash >> 64), static_cast<std::uint64_t>(hash)};
}

/// With names: the text that is sent. Without: the canonical text that is hashed.
inline std::string layout_text(const type_graph& graph, bool names) {
  std::string out = "strait-layout 1\n= " + graph.root + "\n";
  for (std::size_t i = 0; i < graph.records.size(); ++i) {
    const record_text& record = graph.records[i];
    out += "#" + std::to_string(i) + (names ? " " + record.name : "") + "\n";
    for (const field_text& field : record.fields) {
      if (names) out += field.name;
      if (field.union_index >= 0) {
        out += "|" + std::to_string(field.union_index);
        if (names) out += "." + field.member;
      }
      out += " " + field.type + "\n";
    }
  }
  return out;
}

// -------------------------------------------------------------------------------------------------
// Reading a peer's text

class layout_parser {
 public:
  static constexpr std::size_t max_text = std::size_t{256} << 10;
  static constexpr std::size_t max_name = 256;
  static constexpr std::size_t max_list_depth = 32;

  /// The graph, or why there is none.
  static std::optional<type_graph> parse(std::string_view text, std::string& problem) {
    layout_parser self(text);
    if (self.read()) return std::move(self.graph_);
    problem = "line " + std::to_string(self.line_number_) + ": " + self.problem_;
    return std::nullopt;
  }

 private:
  explicit layout_parser(std::string_view text) : rest_(text) {}

  bool fail(const char* problem) {
    problem_ = problem;
    return false;
  }

  bool read() {
    if (rest_.size() > max_text) return fail("longer than 256 KiB");
    if (!next_line() || line_ != "strait-layout 1") return fail("not a layout of version 1");
    if (!next_line() || line_.substr(0, 2) != "= ") return fail("no type of a value");
    graph_.root = line_.substr(2);
    while (next_line()) {
      if (!(line_.front() == '#' ? read_record() : read_field())) return false;
    }
    if (!problem_.empty()) return false;
    if (!rest_.empty()) return fail("an empty line");
    return check_types();
  }

  /// False at the end, and at a line that is empty or has no end.
  bool next_line() {
    const std::size_t end = rest_.find('\n');
    if (end == rest_.npos || end == 0) return false;
    ++line_number_;
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }

  bool read_record() {
    const std::string head = "#" + std::to_string(graph_.records.size()) + " ";
    if (line_.substr(0, head.size()) != head) return fail("records are numbered from 0");
    const std::string_view name = line_.substr(head.size());
    if (!is_name(name)) return fail("not the name of a record");
    graph_.records.push_back({std::string(name), {}});
    return true;
  }

  bool read_field() {
    if (graph_.records.empty()) return fail("a field outside of any record");
    const std::size_t space = line_.find(' ');
    if (space == line_.npos) return fail("a field without a type");
    std::string_view name = line_.substr(0, space);
    field_text field{.name = {}, .type = std::string(line_.substr(space + 1))};
    if (const std::size_t bar = name.find('|'); bar != name.npos) {
      const std::string_view place = name.substr(bar + 1);
      name = name.substr(0, bar);
      const std::size_t dot = place.find('.');
      if (dot == place.npos || !is_name(place.substr(dot + 1))) return fail("not a union's member");
      if (!read_number(place.substr(0, dot), field.union_index))
        return fail("not a union's number");
      field.member = place.substr(dot + 1);
    }
    if (!is_name(name)) return fail("not the name of a field");
    field.name = name;
    graph_.records.back().fields.push_back(std::move(field));
    return true;
  }

  /// References may point ahead, so they are checked when all records are there.
  bool check_types() {
    line_number_ = 2;
    if (!is_type(graph_.root)) return fail("not a type");
    for (const record_text& record : graph_.records) {
      ++line_number_;
      for (const field_text& field : record.fields) {
        ++line_number_;
        if (!is_type(field.type)) return fail("not a type");
      }
    }
    return true;
  }

  bool is_type(std::string_view type) const {
    std::size_t depth = 0;
    for (; type.substr(0, 5) == "List(" && type.back() == ')'; ++depth) {
      if (depth == max_list_depth) return false;
      type = type.substr(5, type.size() - 6);
    }
    if (type.empty() || type.size() > max_name) return false;
    if (type.front() == '#') {
      int index = 0;
      return read_number(type.substr(1), index) &&
             static_cast<std::size_t>(index) < graph_.records.size();
    }
    for (const char c : type) {
      if (!is_identifier_char(c) && c != ':' && c != '/') return false;
    }
    return true;
  }

  static bool is_name(std::string_view name) {
    for (const char c : name) {
      if (!is_identifier_char(c)) return false;
    }
    return !name.empty() && name.size() <= max_name;
  }

  /// No sign, no leading zero: one number has one text.
  static bool read_number(std::string_view digits, int& number) {
    if (digits.empty() || digits.size() > 6 || (digits.size() > 1 && digits.front() == '0')) {
      return false;
    }
    const char* const end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, number);
    return error == std::errc{} && at == end && number >= 0;
  }

  std::string_view rest_;
  std::string_view line_;
  std::size_t line_number_ = 0;
  std::string problem_;
  type_graph graph_;
};

// -------------------------------------------------------------------------------------------------
// Comparing

/// Finds the first ordinal, depth first, at which `there` differs from `here`. Ordinals that only
/// one of them has at a record's end are no difference: they were appended later.
class layout_comparison {
 public:
  layout_comparison(const type_graph& here, const type_graph& there) : here_(here), there_(there) {}

  /// The difference as one line, or nothing.
  std::optional<std::string> run() {
    if (same_type(here_.root, there_.root, "value", "", 0)) return std::nullopt;
    return difference_;
  }

 private:
  static constexpr std::size_t max_depth = 256;

  bool same_type(std::string_view mine, std::string_view theirs, const std::string& path,
                 const std::string& where, std::size_t depth) {
    const std::string_view mine_whole = mine, theirs_whole = theirs;
    std::string below = path;
    while (mine.substr(0, 5) == "List(" && theirs.substr(0, 5) == "List(") {
      mine = mine.substr(5, mine.size() - 6);
      theirs = theirs.substr(5, theirs.size() - 6);
      below += "[]";
    }
    if (mine.front() == '#' && theirs.front() == '#') {
      return same_record(index_of(mine), index_of(theirs), below, depth);
    }
    if (mine == theirs) return true;
    difference_ = path + where + ": " + shown(here_, mine_whole) + " here, " +
                  shown(there_, theirs_whole) + " there";
    return false;
  }

  bool same_record(std::size_t mine, std::size_t theirs, std::string path, std::size_t depth) {
    if (!visited_.insert({mine, theirs}).second) return true;
    const record_text& here = here_.records[mine];
    const record_text& there = there_.records[theirs];
    if (path == "value") path = here.name;
    if (depth == max_depth) {
      difference_ = path + ": records nested more than " + std::to_string(max_depth) + " deep";
      return false;
    }
    const std::size_t both = std::min(here.fields.size(), there.fields.size());
    for (std::size_t i = 0; i < both; ++i) {
      const field_text& field = here.fields[i];
      const std::string below =
          path + "." + field.name + (field.member.empty() ? "" : "." + field.member);
      const std::string where = " (field " + std::to_string(i) + ")";
      if (field.union_index != there.fields[i].union_index) {
        difference_ = below + where + ": " + shown(here_, field) + " here, " +
                      shown(there_, there.fields[i]) + " there";
        return false;
      }
      if (!same_type(field.type, there.fields[i].type, below, where, depth + 1)) return false;
    }
    return true;
  }

  static std::size_t index_of(std::string_view reference) {
    std::size_t index = 0;
    std::from_chars(reference.data() + 1, reference.data() + reference.size(), index);
    return index;
  }

  /// A type for people: records by name.
  static std::string shown(const type_graph& graph, std::string_view type) {
    if (type.front() == '#') return "struct " + graph.records[index_of(type)].name;
    if (type.substr(0, 5) == "List(") {
      return "List(" + shown(graph, type.substr(5, type.size() - 6)) + ")";
    }
    return std::string(type);
  }
  static std::string shown(const type_graph& graph, const field_text& field) {
    return (field.union_index < 0 ? ""
                                  : "member of union " + std::to_string(field.union_index) + ", ") +
           shown(graph, field.type);
  }

  const type_graph& here_;
  const type_graph& there_;
  std::set<std::pair<std::size_t, std::size_t>> visited_;
  std::string difference_;
};

}  // namespace detail
}  // namespace strait::inline STRAIT_ABI
