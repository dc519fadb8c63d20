// Suite `local`: goroutines, channels and select inside one process, at 1 and 2 workers.
//
// spawn_join_one        one task spawns an empty task and waits for its end, 300,000 times
// spawn_batch_100k      spawn 100,000 empty tasks, then join all
// yield_2tasks          two tasks yield 500,000 times each
// pingpong_unbuf        two tasks, two unbuffered channels, 300,000 round trips
// chan_1p1c_cap128      one producer, one consumer, 1,000,000 values; also with capacity 1
// chan_4p4c_cap128      four and four on one channel, 1,000,000 in all
// chan_prodcons_C       Go's own: a pair for each worker on one channel of capacity C
// select_uncontended    a task for each worker: receive from either of two own channels of capacity
//                       1, one value in them; send it to the other; 1,000,000 in all
// select_async_contended  the same, the channels shared, their capacity the number of workers
// select_sync_contended   per worker three senders (in a select with a done channel) on three
// shared
//                       unbuffered channels, and a task that selects among them; 500,000 receives
// select_contended_1sel   three senders on channels of capacity 1, one selector; 500,000 receives
// select_default_empty  an empty channel or otherwise
//
// The floor of chained work is the same at 2 workers as at 1: it cannot be divided. Where it can,
// the floor has two threads.
#include "local/floors.hpp"
#include "local/work.hpp"

#include <strait/bench.hpp>

namespace {

using strait::bench::suite;

template <class Lock>
void chained_floors(suite& s, int t, const std::string& with) {
  s.floor("pingpong_unbuf", t, 300'000, mini::pingpong<Lock>(300'000), with);
  s.floor("chan_1p1c_cap128", t, 1'000'000, mini::pipe<Lock>(128, 1, 1'000'000), with);
  s.floor("chan_1p1c_cap1", t, 1'000'000, mini::pipe<Lock>(1, 1, 1'000'000), with);
  s.floor("chan_4p4c_cap128", t, 1'000'000, mini::pipe<Lock>(128, 4, 1'000'000), with);
  for (const int capacity : {0, 10, 100}) {
    s.floor("chan_prodcons_" + std::to_string(capacity), t, 1'000'000,
            mini::pipe<Lock>(static_cast<std::uint32_t>(capacity), t, 1'000'000), with);
  }
}

template <class Lock>
void divided_select_floor(suite& s, int t, const std::string& with) {
  const auto share = [t] {
    mini::loop l;
    mini::chan<Lock> a(l, 1), b(l, 1);
    mini::spawn(l, mini::select_two(a, b, 1'000'000 / t));
    l.run();
  };
  s.floor("select_uncontended", t, 1'000'000, mini::divided(t, share), with);
}

void floors(suite& s, int t) {
  s.floor("spawn_join_one", t, 300'000,
          mini::once([](mini::loop& l) { mini::spawn(l, mini::spawn_join_one(l, 300'000)); }));
  s.floor("spawn_batch_100k", t, 100'000, mini::divided(t, [t] {
            static thread_local mini::loop l;
            mini::spawn(l, mini::spawn_batch(l, 100'000 / t));
            l.run();
          }));
  s.floor("yield_2tasks", t, 1'000'000, mini::once([](mini::loop& l) {
            mini::spawn(l, mini::yields(l, 500'000));
            mini::spawn(l, mini::yields(l, 500'000));
          }));
  chained_floors<mini::no_lock>(s, t, "");
  chained_floors<mini::spin>(s, t, "lock");
  divided_select_floor<mini::no_lock>(s, t, "");
  divided_select_floor<mini::spin>(s, t, "lock");
}

/// `start(n)`, a coroutine, does the n items.
template <class F>
void add(suite& s, const std::string& workload, int t, std::int64_t n, F start) {
  s.add(workload, "strait", t, n,
        work::in_runtime(static_cast<unsigned>(t), [start, n] { return start(n); }));
}

void strait_contenders(suite& s, int t) {
  add(s, "spawn_join_one", t, 300'000, work::spawn_join_one);
  add(s, "spawn_batch_100k", t, 100'000, work::spawn_batch);
  add(s, "yield_2tasks", t, 1'000'000, work::yield_2tasks);
  add(s, "pingpong_unbuf", t, 300'000, work::pingpong);
  add(s, "chan_1p1c_cap128", t, 1'000'000, [](auto n) { return work::pipe(128, 1, n); });
  add(s, "chan_1p1c_cap1", t, 1'000'000, [](auto n) { return work::pipe(1, 1, n); });
  add(s, "chan_4p4c_cap128", t, 1'000'000, [](auto n) { return work::pipe(128, 4, n); });
  for (const std::size_t c : {0u, 10u, 100u}) {
    add(s, "chan_prodcons_" + std::to_string(c), t, 1'000'000,
        [=](auto n) { return work::prodcons(c, t, n, 0); });
  }
  add(s, "chan_prodcons_work_100", t, 1'000'000,
      [=](auto n) { return work::prodcons(100, t, n, 100); });
  add(s, "select_uncontended", t, 1'000'000,
      [=](auto n) { return work::select_uncontended(t, n); });
  add(s, "select_sync_contended", t, 500'000,
      [=](auto n) { return work::select_contended(0, t, n); });
  add(s, "select_contended_1sel", t, 500'000,
      [](auto n) { return work::select_contended(1, 1, n); });
  add(s, "select_async_contended", t, 1'000'000,
      [=](auto n) { return work::select_async_contended(t, n); });
  add(s, "select_default_empty", t, 1'000'000, work::select_default_empty);
}

}  // namespace

int main(int argc, char** argv) {
  suite s("local");
  for (const int threads : {1, 2}) {
    floors(s, threads);
    strait_contenders(s, threads);
  }
  return s.main(argc, argv);
}
