// Suite `remote`: channels between two processes over TCP on loopback, at 1 and 2 workers in each.
//
// remote_int64  64-bit values from a goroutine of one process to a goroutine of the other, one send
//               and one receive for each: a channel of capacity 16,384, one receiver, the default
//               window. Figures are the time of a value.
// remote_rtt    one value there, one back, over two buffered channels; the time of a round trip.
//
// `raw` is a blocking socket that carries the same bytes, 512 values a frame, at most one thread in
// each process.
#include <strait/remote.hpp>
#include <strait/strait.hpp>

#include <cstdlib>
#include <iostream>

#include "remote/far.hpp"
#include "remote/raw.hpp"

#include <strait/bench.hpp>

namespace {

namespace st = strait;

constexpr std::int64_t int64_items = 2'000'000 / 512 * 512, rtt_items = 3'000;

st::task<> far_int64(std::string home) {
  auto counts = co_await st::dial<st::receiver<std::int64_t>>(home + "/counts");
  auto values = co_await st::dial<st::sender<std::int64_t>>(home + "/values");
  co_await values.send(-1);
  while (auto n = co_await counts.recv()) {
    for (std::int64_t i = 0; i < *n; ++i) co_await values.send(i);
  }
}

st::task<> far_rtt(std::string home) {
  auto in = co_await st::dial<st::receiver<std::int64_t>>(home + "/counts");
  auto out = co_await st::dial<st::sender<std::int64_t>>(home + "/values");
  co_await out.send(-1);
  while (auto v = co_await in.recv()) co_await out.send(*v);
}

/// The near side: serves two channels, starts the far process, and runs `pass(counts, values, n)`,
/// a coroutine that gives whether all went well.
template <class F>
auto near(const std::string& role, unsigned workers, std::size_t capacity, std::int64_t n, F pass) {
  return [=](benchmark::State& state) {
    st::run(st::runtime_options().workers(workers), [&]() -> st::task<> {
      auto [counts, far_counts] = st::make_chan<std::int64_t>(64);
      auto [far_values, values] = st::make_chan<std::int64_t>(capacity);
      st::node node;
      node.serve("counts", std::move(far_counts));
      node.serve("values", std::move(far_values));
      co_await node.listen("tcp://127.0.0.1:0");
      far::process other(role, node.address(), workers);
      auto ready = co_await values.recv();
      if (!ready) throw std::runtime_error("the far process did not come");
      for (auto _ : state) {
        const bool fine = co_await pass(counts, values, n);
        if (!fine) state.SkipWithError("a value was lost");
      }
      counts.close();
      co_await st::blocking([&] { other.wait(); });
    });
  };
}

st::task<bool> receive_int64(st::sender<std::int64_t> counts, st::receiver<std::int64_t> values,
                             std::int64_t n) {
  co_await counts.send(n);
  for (std::int64_t i = 0; i < n; ++i) {
    auto v = co_await values.recv();
    if (!v || *v != i) co_return false;
  }
  co_return true;
}

st::task<bool> round_trips(st::sender<std::int64_t> there, st::receiver<std::int64_t> back,
                           std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    co_await there.send(i);
    auto v = co_await back.recv();
    if (!v || *v != i) co_return false;
  }
  co_return true;
}

int far_main(const std::string& role, const std::string& where, unsigned workers) {
  try {
    if (role == "raw_int64") {
      raw::far_int64(std::stoi(where));
    } else if (role == "raw_rtt") {
      raw::far_rtt(std::stoi(where));
    } else {
      st::run(st::runtime_options().workers(workers), role == "int64" ? far_int64 : far_rtt, where);
    }
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "far " << role << ": " << e.what() << "\n";
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]).starts_with("--far=")) {
    return far_main(argv[1] + 6, argv[2], static_cast<unsigned>(std::atoi(argv[3])));
  }
  strait::bench::suite s("remote");
  for (const int t : {1, 2}) {
    const auto workers = static_cast<unsigned>(t);
    s.add("remote_int64", "raw", t, 5 * int64_items,
          [](benchmark::State& state) { raw::near_int64(state, 5 * int64_items); });
    s.add("remote_int64", "strait", t, int64_items,
          near("int64", workers, 16'384, int64_items, receive_int64));
    s.add(
        "remote_rtt", "raw", t, rtt_items,
        [](benchmark::State& state) { raw::near_rtt(state, rtt_items); }, strait::bench::unit::us);
    s.add("remote_rtt", "strait", t, rtt_items, near("rtt", workers, 64, rtt_items, round_trips),
          strait::bench::unit::us);
  }
  return s.main(argc, argv);
}
