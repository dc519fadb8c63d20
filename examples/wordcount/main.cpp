// wordcount: counts the words of folders of text, with workers in other processes.
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <iostream>
#include <unordered_set>

#include <strait/remote.hpp>
#include "files.hpp"
using namespace std::chrono_literals;

st::task<int> work(std::string address, st::node_options options) {
  st::node node(std::move(options));
  auto jobs = co_await node.dial<st::receiver<job>>(address + "/jobs");
  auto results = co_await node.dial<st::sender<result>>(address + "/results");
  co_await worker(std::move(jobs), std::move(results));
  co_return 0;
}

/// Worker processes of our own. Killed when the count is over.
struct processes {
  std::vector<pid_t> ids;
  ~processes() {
    for (const pid_t id : ids) kill(id, SIGKILL);
  }
  void start(const std::string& address) {
    const pid_t id = fork();
    if (id == 0) _exit(execl("/proc/self/exe", "wordcount", "work", address.c_str(), nullptr));
    if (id < 0) throw std::runtime_error("cannot start a worker");
    ids.push_back(id);
  }
  bool all_ended() {
    std::erase_if(ids, [](pid_t id) { return waitpid(id, nullptr, WNOHANG) != 0; });
    return ids.empty();
  }
};

struct tally {
  counts words;
  std::uint64_t peers[3] = {}, redelivered = 0;  // peers: joined, left, died
};

/// Feeds the workers at the other ends, and adds up their results until every job has one.
st::task<tally> coordinate(text_files& files, st::chan<job> jobs, st::chan<result> results,
                           st::receiver<st::peer_event> peers = {}, processes* own = nullptr) {
  tally sum;
  co_await st::scope([&](st::group& g) -> st::task<> {
    st::chan<std::uint64_t> fed(1);
    g.go(feed, std::ref(files), std::move(jobs), results, fed);
    std::uint64_t count = UINT64_MAX;  // of jobs: not known before all are fed
    std::unordered_set<std::uint64_t> done;
    st::ticker tick(100ms);
    while (done.size() < count) {
      auto s = co_await st::ordered_select{fed.recv(), peers.recv(), results.recv(), tick.recv()};
      if (s.index() == 0) {
        count = s.get<0>().value();
        fed = {};  // a nil channel is never ready
      } else if (s.index() == 1) {
        ++sum.peers[static_cast<int>(s.get<1>().value().what)];
      } else if (s.index() == 2) {
        const result& r = s.get<2>().value();
        if (!done.insert(r.id).second) continue;  // done twice counts once
        for (const auto& [word, times] : r.words) sum.words[word] += times;
      } else {
        if (own != nullptr && own->all_ended()) throw std::runtime_error("no worker is left");
        const auto part = std::min(50 * done.size() * most_bytes / (files.size + 1), 50ul);
        if (isatty(2)) std::fprintf(stderr, "\r[%-50s] ", std::string(part, '#').c_str());
      }
    }
    if (isatty(2)) std::fprintf(stderr, "\r\033[K");
  });
  co_return sum;
}

/// Near: the workers are goroutines.
st::task<tally> count_near(text_files& files, unsigned workers) {
  st::chan<job> jobs(16);
  st::chan<result> results(16);
  for (unsigned i = 0; i < workers; ++i) st::go(worker, jobs, results);
  co_return co_await coordinate(files, jobs, results);
}

/// Far: the workers are processes, some of our own or whoever comes to the address.
st::task<tally> count_far(text_files& files, unsigned workers, std::string address,
                          st::node_options options) {
  st::chan<job> jobs(16);
  st::chan<result> results(16);
  st::node node(std::move(options));
  node.serve("jobs", st::receiver<job>(jobs), st::serve_options().shared());
  node.serve("results", st::sender<result>(results));
  co_await node.listen(address);
  auto peers = node.events();
  if (workers == 0) std::fprintf(stderr, "listening on %s\n", node.address().c_str());
  processes own;
  while (own.ids.size() < workers) own.start(node.address());
  tally sum = co_await coordinate(files, jobs, results, peers, workers != 0 ? &own : nullptr);
  sum.redelivered = node.stats().redelivered;
  co_return sum;
}

/// The words with the highest counts, ties in alphabetical order.
void print_table(const counts& words, unsigned top) {
  std::vector<std::pair<std::uint64_t, std::string_view>> rows;
  for (const auto& [word, times] : words) rows.emplace_back(-times, word);
  std::sort(rows.begin(), rows.end());
  if (top != 0 && top < rows.size()) rows.resize(top);
  for (const auto& [times, word] : rows) std::cout << -times << ' ' << word << '\n';
  if (!std::cout.flush()) throw std::runtime_error("cannot write the table");
}

int main(int argc, char** argv) try {
  CLI::App app(
      "Counts the words of folders of text, with workers in other processes.\n"
      "A word is a maximal run of ASCII letters, lower-cased; the end of a file ends a word.\n"
      "Links in a folder are not followed; what cannot be read is skipped, and counted.");
  app.require_subcommand(1);
  app.failure_message([](auto*, auto& e) { return std::string("wordcount: ") + e.what() + "\n"; });
  app.set_help_flag();
  app.set_help_all_flag("-h,--help", "Print this");
  app.fallthrough();
  std::vector<std::string> paths;
  std::string address = "tcp://127.0.0.1:0";
  unsigned workers = 3, top = 10;
  bool near = false, verify = false, insecure = false;
  app.add_flag("--insecure", insecure, "Leave this machine, without encryption, open to anybody");
  auto& run = *app.add_subcommand("run", "Count, with workers that it starts itself");
  run.add_option("--workers", workers, "How many: 3")->check(CLI::Range(1, 1000));
  run.add_flag("--near", near, "As goroutines: the same worker over local channels");
  auto& serve = *app.add_subcommand("serve", "Count, with whatever workers come");
  serve.add_option("--listen", address, "tcp://HOST:PORT, where they find it")->required();
  for (auto* command : {&run, &serve}) {
    command->add_option("--top", top, "How many words to print: 10; 0 for all");
    command->add_flag("--verify", verify, "Count once more in a single thread, and compare");
    command->add_option("PATH", paths, "A folder, or a file")->required();
  }
  auto& join = *app.add_subcommand("work", "Be a worker");
  join.add_option("ADDRESS", address, "tcp://HOST:PORT of the coordinator")->required();
  CLI11_PARSE(app, argc, argv);
  // Who is silent for 2 s is dead.
  const auto options = st::node_options().heartbeat(500ms, 2s).grace(2s).insecure(insecure);
  if (join) return st::run(work, address, options);
  text_files files = find_files(paths);
  const auto start = st::clock::now();
  const tally sum =
      near ? st::run(count_near, std::ref(files), workers)
           : st::run(count_far, std::ref(files), serve ? 0 : workers, address, options);
  const std::chrono::duration<double> took = st::clock::now() - start;
  if (verify && sum.words != count_again(files)) throw std::runtime_error("a recount differs");
  print_table(sum.words, top);
  std::fprintf(stderr, "%zu files, %zu skipped, %zu bytes, %.1f MB/s%s\n", files.paths.size(),
               files.skipped, files.read, static_cast<double>(files.read) / 1e6 / took.count(),
               verify ? ", verified" : "");
  std::fprintf(stderr, "%zu workers joined, %zu died, %zu jobs redelivered\n", sum.peers[0],
               sum.peers[2], sum.redelivered);
} catch (const std::exception& e) {
  std::cerr << "wordcount: " << e.what() << '\n';
  return 1;
}
