// What a benchmark suite has measured, as a table for people and rows for programs.
//
// A figure is the time of one item, less is better, in every row. The minimum of the rounds is what
// the code costs when nothing disturbs it, and ratios are minimum by minimum. A median far above it
// is no noise to be averaged away: the code has two modes (a scheduling fault), so the table prints
// it where it is more than a quarter above.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::bench {

/// What a row's figures are in. A suite's own choice for each workload: they are for reading.
enum class unit : unsigned char { ns, us, ms };

}  // namespace strait::inline STRAIT_ABI::bench

namespace strait::inline STRAIT_ABI::bench::detail {

constexpr const char* name_of(unit u) { return u == unit::ns ? "ns" : u == unit::us ? "us" : "ms"; }
constexpr double per_second(unit u) { return u == unit::ns ? 1e9 : u == unit::us ? 1e6 : 1e3; }

/// One contender of one workload at one number of threads.
struct row {
  std::string workload;
  int threads = 1;
  std::string who;
  unit in = unit::ns;
  std::vector<double> samples;  // one a round

  double min() const { return *std::min_element(samples.begin(), samples.end()); }
  double median() const {
    std::vector<double> sorted = samples;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t half = sorted.size() / 2;
    return sorted.size() % 2 != 0 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
  bool two_modes() const { return median() > 1.25 * min(); }
};

inline std::string figure(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", v < 10 ? 2 : v < 100 ? 1 : 0, v);
  return text;
}

inline std::string quoted(std::string_view s) {
  std::string text = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return text + '"';
}

/// The JSON file: an array of rows {suite, workload, threads, who, unit, min, median, runs}.
inline void write_json(const std::string& path, const std::string& suite,
                       const std::vector<row>& rows) {
  std::ofstream out(path);
  out << "[";
  const char* separator = "\n";
  for (const row& r : rows) {
    char figures[96];
    std::snprintf(figures, sizeof figures, R"("min": %.6g, "median": %.6g, "runs": %zu)", r.min(),
                  r.median(), r.samples.size());
    out << separator << R"(  {"suite": )" << quoted(suite) << R"(, "workload": )"
        << quoted(r.workload) << R"(, "threads": )" << r.threads << R"(, "who": )" << quoted(r.who)
        << R"(, "unit": ")" << name_of(r.in) << "\", " << figures << "}";
    separator = ",\n";
  }
  out << "\n]\n";
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

/// One line a workload and thread count, a column a contender (floors first), then the ratios of
/// `subject` to the others. "12.3 [45.6]": the median, where it is more than 1.25 of the minimum.
inline void print_table(std::ostream& out, const std::vector<row>& rows,
                        const std::string& subject) {
  std::vector<std::string> whos;
  std::vector<const row*> lines;
  bool modes = false, has_subject = false;
  for (const row& r : rows) {
    if (std::find(whos.begin(), whos.end(), r.who) == whos.end()) whos.push_back(r.who);
    if (std::none_of(lines.begin(), lines.end(), [&](const row* l) {
          return l->workload == r.workload && l->threads == r.threads;
        })) {
      lines.push_back(&r);
    }
    modes |= r.two_modes();
    has_subject |= r.who == subject;
  }
  std::vector<std::string> columns;
  const auto place = [&](const std::string& who) {
    return who.starts_with("floor") ? 0 : who == subject ? 1 : 2;
  };
  for (const int p : {0, 1, 2}) {
    std::copy_if(whos.begin(), whos.end(), std::back_inserter(columns),
                 [&](const std::string& who) { return place(who) == p; });
  }
  whos = columns;

  std::vector<std::vector<std::string>> cells(1);
  cells[0] = {"workload", "threads", "unit"};
  cells[0].insert(cells[0].end(), whos.begin(), whos.end());
  for (const auto& who : whos) {
    if (has_subject && who != subject) cells[0].push_back("/" + who);
  }
  for (const row* line : lines) {
    const auto of = [&](const std::string& who) -> const row* {
      for (const row& r : rows) {
        if (r.workload == line->workload && r.threads == line->threads && r.who == who) return &r;
      }
      return nullptr;
    };
    std::vector<std::string> c = {line->workload, std::to_string(line->threads), name_of(line->in)};
    for (const auto& who : whos) {
      const row* const r = of(who);
      c.push_back(r == nullptr ? "-" : figure(r->min()));
      if (r != nullptr && r->two_modes()) c.back() += " [" + figure(r->median()) + "]";
    }
    const row* const mine = of(subject);
    for (const auto& who : whos) {
      if (!has_subject || who == subject) continue;
      const row* const r = of(who);
      c.push_back(r == nullptr || mine == nullptr ? "-" : figure(mine->min() / r->min()));
    }
    cells.push_back(std::move(c));
  }

  std::vector<std::size_t> widths(cells[0].size(), 0);
  for (const auto& c : cells) {
    for (std::size_t i = 0; i < c.size(); ++i) widths[i] = std::max(widths[i], c[i].size());
  }
  for (const auto& c : cells) {
    for (std::size_t i = 0; i < c.size(); ++i) {
      const std::string pad(widths[i] - c[i].size(), ' ');
      if (i != 0) out << "  ";
      out << (i == 0 ? c[i] + pad : pad + c[i]);
    }
    out << "\n";
  }
  if (has_subject) out << "/who: " << subject << " divided by who, minimum by minimum\n";
  if (modes) out << "[median], where it is more than 1.25 of the minimum: two modes\n";
}

}  // namespace strait::inline STRAIT_ABI::bench::detail
