// Benchmark suites that compare: every contender of a workload, its floor among them, in one run.
//
// An absolute time says little: machines differ, and a shared one differs from minute to minute.
// A ratio says something if both sides were measured in the same seconds. So a suite runs in
// *rounds*: in each, all contenders of a workload run in turn, once, beginning with another one
// each time; then come the next rounds, and only then the next workload. Minimum and median are
// reported.
//
// Google Benchmark is the engine: registration, command line, clocks, State. Its own interleaving
// (--benchmark_enable_random_interleaving) is not used. It shuffles the repetitions of the whole
// suite, so the two sides of a ratio may be measured minutes apart; and programs in other languages
// cannot take part. It would also take several iterations per repetition for its mean: here one
// iteration is one sample, so that a second mode shows.
//
// A *floor* is the least that any implementation must do, written by hand for the workload. A
// library that is near its floor is done, however it compares with others; and a floor is in the
// binary, where a peer may not be installed.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <iterator>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include <strait/detail/bench_peer.hpp>
#include <strait/detail/bench_report.hpp>

namespace strait::inline STRAIT_ABI::bench {

/// Measures a contender: `for (auto _ : state) { the whole workload, all its items; }`. What stands
/// before the loop (building a runtime) is not measured; `state.SkipWithError` ends it. With strait
/// the loop may stand in a goroutine: `st::run([&]() -> st::task<> { for (auto _ : state) ... })`.
using body = std::function<void(benchmark::State&)>;

/// A named set of workloads and their contenders.
///
///     int main(int argc, char** argv) {
///       strait::bench::suite s("local");
///       s.floor("pingpong_unbuf", 1, 300'000, hand_written);
///       s.add("pingpong_unbuf", "strait", 1, 300'000, [](benchmark::State& state) { ... });
///       return s.main(argc, argv);
///     }
class suite {
 public:
  explicit suite(std::string name) : name_(std::move(name)) {}

  /// A contender `who` of a workload, with so many threads. A pass of the body's loop does `items`
  /// items; figures are times of one item, in `u`. Lower-case names: they are keys in the JSON
  /// rows.
  suite& add(const std::string& workload, const std::string& who, int threads, std::int64_t items,
             body fn, unit u = unit::ns) {
    contender c{workload, who, threads, static_cast<double>(items), u, std::move(fn), nullptr};
    contenders_.push_back(std::move(c));
    return *this;
  }

  /// The same for the workload's floor: `who` is "floor", or "floor+what": with what it includes.
  suite& floor(const std::string& workload, int threads, std::int64_t items, body fn,
               const std::string& including = "", unit u = unit::ns) {
    return add(workload, including.empty() ? "floor" : "floor+" + including, threads, items,
               std::move(fn), u);
  }

  /// Contenders in another program, which takes part in the rounds of the workloads it knows:
  ///   `COMMAND list`              prints lines `WORKLOAD THREADS`;
  ///   `COMMAND WORKLOAD THREADS`  warms up, measures once, and prints the seconds of one item.
  /// Workloads that this suite has not are left out. Same as `--peer=WHO=COMMAND`.
  suite& program(const std::string& who, const std::string& command) {
    peers_.emplace_back(who, command);
    return *this;
  }

  /// Whose ratios to the others the table shows; "strait" unless told otherwise.
  suite& subject(std::string who) {
    subject_ = std::move(who);
    return *this;
  }

  /// Reads the command line, runs, prints the table, and writes the rows. Gives the exit status: 1
  /// after an error, of which one line on stderr tells. Flags of its own:
  ///   --rounds=9           measured rounds, after one that is not
  ///   --json=FILE          where the rows go
  ///   --peer=WHO=COMMAND   see `program`
  ///   --clock=cpu          the process's CPU time instead of the time on the wall: for the profile
  ///   of
  ///                        a one-thread contender on a machine that others use, never for a report
  ///   --list               what there is, as WORKLOAD/WHO/THREADS, one a line
  /// and Google Benchmark's, of which --benchmark_filter=REGEX (on those names) is the one that is
  /// useful here; iterations and repetitions are not for choice.
  int main(int argc, char** argv) {
    try {
      return run(argc, argv);
    } catch (const std::exception& e) {
      std::cerr << name_ << ": " << e.what() << "\n";
      return 1;
    }
  }

 private:
  struct contender {
    std::string workload, who;
    int threads;
    double items;
    unit in;
    body fn;                    // empty for a peer
    const detail::peer* other;  // its program
    std::vector<double> samples{};

    std::string name() const { return workload + "/" + who + "/" + std::to_string(threads); }
    bool beside(const contender& c) const { return workload == c.workload && threads == c.threads; }
  };

  /// Takes one run's time; prints nothing.
  class catcher final : public benchmark::BenchmarkReporter {
   public:
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override {
      for (const Run& r : runs) {
        if (r.error_occurred) error = r.error_message;
        if (r.iterations > 0) {
          wall = r.real_accumulated_time / static_cast<double>(r.iterations);
          cpu = r.cpu_accumulated_time / static_cast<double>(r.iterations);
        }
      }
    }
    double wall = 0, cpu = 0;
    std::string error;
  };

  int run(int argc, char** argv) {
    std::string json;
    int rounds = 9;
    bool only_list = false;
    std::vector<char*> rest;
    for (int i = 0; i < argc; ++i) {
      const std::string a = argv[i];
      if (a.starts_with("--json=")) {
        json = a.substr(7);
      } else if (a.starts_with("--rounds=")) {
        rounds = detail::number_in(a, 9);
      } else if (a.starts_with("--peer=")) {
        const std::size_t equals = a.find('=', 7);
        if (equals == std::string::npos) throw std::runtime_error(a + ": give --peer=WHO=COMMAND");
        program(a.substr(7, equals - 7), a.substr(equals + 1));
      } else if (a == "--clock=cpu") {
        cpu_clock_ = true;
      } else if (a == "--list") {
        only_list = true;
      } else {
        rest.push_back(argv[i]);
      }
    }
    int left = static_cast<int>(rest.size());
    rest.push_back(nullptr);
    benchmark::Initialize(&left, rest.data());
    if (benchmark::ReportUnrecognizedArguments(left, rest.data())) return 1;

    std::vector<contender> all = chosen(benchmark::GetBenchmarkFilter());
    if (only_list) {
      for (const contender& c : all) std::cout << c.name() << "\n";
      return 0;
    }
    if (all.empty()) throw std::runtime_error("no contender matches the filter");
    for (std::size_t first = 0; first < all.size();) {
      std::size_t last = first;
      while (last < all.size() && all[last].beside(all[first])) ++last;
      compete(&all[first], last - first, rounds);
      first = last;
    }

    std::vector<detail::row> rows;
    for (contender& c : all) {
      rows.push_back({c.workload, c.threads, c.who, c.in, std::move(c.samples)});
    }
    detail::print_table(std::cout, rows, subject_);
    if (!json.empty()) detail::write_json(json, name_, rows);
    return 0;
  }

  /// What the filter leaves, contenders of one workload side by side.
  std::vector<contender> chosen(const std::string& filter) {
    std::vector<contender> all;
    for (const detail::peer& p : peers_) {
      for (const auto& [workload, threads] : p.workloads()) {
        const auto same = std::find_if(contenders_.begin(), contenders_.end(), [&](auto& c) {
          return c.workload == workload && c.threads == threads && !c.other;
        });
        if (same == contenders_.end()) continue;
        contenders_.push_back({workload, p.who(), threads, 1, same->in, {}, &p});
      }
    }
    const std::regex wanted(filter.empty() || filter == "all" ? "." : filter);
    for (const contender& c : contenders_) {
      if (!std::regex_search(c.name(), wanted)) continue;
      auto at = std::find_if(all.rbegin(), all.rend(), [&](auto& x) { return x.beside(c); });
      all.insert(at == all.rend() ? all.end() : at.base(), c);
    }
    return all;
  }

  void compete(contender* c, std::size_t n, int rounds) {
    if (isatty(2) != 0) std::cerr << "\r\033[K" << c->workload << " " << c->threads << std::flush;
    for (int round = 0; round <= rounds; ++round) {
      for (std::size_t i = 0; i < n; ++i) {
        contender& next = c[(i + static_cast<std::size_t>(round)) % n];
        const double seconds = next.other != nullptr
                                   ? next.other->measure(next.workload, next.threads)
                                   : measure(next);
        if (round != 0) next.samples.push_back(seconds * detail::per_second(next.in));
      }
    }
    if (isatty(2) != 0) std::cerr << "\r\033[K";
  }

  double measure(const contender& c) const {
    catcher caught;
    benchmark::ClearRegisteredBenchmarks();
    benchmark::RegisterBenchmark(c.name().c_str(), c.fn)
        ->Iterations(1)
        ->Repetitions(1)
        ->UseRealTime()
        ->MeasureProcessCPUTime();  // the loop may change threads, whose clocks differ
    benchmark::RunSpecifiedBenchmarks(&caught, "all");
    if (!caught.error.empty()) throw std::runtime_error(c.name() + ": " + caught.error);
    const double seconds = cpu_clock_ ? caught.cpu : caught.wall;
    if (seconds <= 0) throw std::runtime_error(c.name() + ": nothing was measured");
    return seconds / c.items;
  }

  std::string name_, subject_ = "strait";
  std::vector<contender> contenders_;
  std::vector<detail::peer> peers_;
  bool cpu_clock_ = false;
};

}  // namespace strait::inline STRAIT_ABI::bench
