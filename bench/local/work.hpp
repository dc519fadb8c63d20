// The workloads on strait, as a program that uses it would write them.
#pragma once

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <strait/strait.hpp>

namespace work {

namespace st = strait;

/// A body that runs `start()`, a coroutine, once a pass, in a runtime that is not measured.
template <class F>
auto in_runtime(unsigned workers, F start) {
  return [workers, start](benchmark::State& state) {
    st::run(st::runtime_options().workers(workers), [&]() -> st::task<> {
      for (auto _ : state) co_await start();
    });
  };
}

inline st::task<> empty() { co_return; }

inline st::task<> spawn_join_one(std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await st::go(empty);
}

inline st::task<> spawn_batch(std::int64_t n) {
  st::group all;
  for (std::int64_t i = 0; i < n; ++i) all.go(empty);
  co_await all.join();
}

inline st::task<> yields(std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await st::yield();
}
inline st::task<> yield_2tasks(std::int64_t n) {
  auto other = st::go(yields, n / 2);
  co_await yields(n / 2);
  co_await other;
}

inline st::task<> echo(st::receiver<std::int64_t> in, st::sender<std::int64_t> out) {
  while (auto v = co_await in.recv()) co_await out.send(*v);
}
inline st::task<> pingpong(std::int64_t n) {
  st::chan<std::int64_t> there(0), back(0);
  auto other = st::go(echo, there, back);
  for (std::int64_t i = 0; i < n; ++i) {
    co_await there.send(i);
    auto v = co_await back.recv();
    benchmark::DoNotOptimize(*v);
  }
  there.close();
  co_await other;
}

inline st::task<> produce(st::sender<std::int64_t> out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await out.send(i);
}
inline st::task<> consume(st::receiver<std::int64_t> in) {
  while (auto v = co_await in.recv()) benchmark::DoNotOptimize(*v);
}
inline st::task<> pipe(std::size_t capacity, int pairs, std::int64_t n) {
  auto [in, out] = st::make_chan<std::int64_t>(capacity);
  st::group all;
  for (int i = 0; i < pairs; ++i) {
    all.go(produce, in, n / pairs);
    all.go(consume, out);
  }
  in = {};
  co_await all.join();
}

/// Go's BenchmarkChanProdCons: a shared count, taken 1000 at a time; `work` turns on each side.
inline void turns(std::int64_t work) {
  int foo = 0;
  for (std::int64_t i = 0; i < work; ++i) {
    foo *= 2;
    foo /= 2;
    benchmark::DoNotOptimize(foo);
  }
}
inline st::task<> prodcons_produce(std::atomic<std::int64_t>& left, st::sender<std::int64_t> out,
                                   std::int64_t work) {
  while (left.fetch_sub(1, std::memory_order_relaxed) > 0) {
    for (std::int64_t i = 0; i < 1000; ++i) {
      turns(work);
      co_await out.send(1);
    }
  }
}
inline st::task<> prodcons_consume(st::receiver<std::int64_t> in, std::int64_t work) {
  while (auto v = co_await in.recv()) turns(work);
}
inline st::task<> prodcons(std::size_t capacity, int pairs, std::int64_t n, std::int64_t work) {
  std::atomic<std::int64_t> left{n / 1000};
  auto [in, out] = st::make_chan<std::int64_t>(capacity);
  st::group all;
  for (int i = 0; i < pairs; ++i) {
    all.go(prodcons_produce, std::ref(left), in, work);
    all.go(prodcons_consume, out, work);
  }
  in = {};
  co_await all.join();
}

inline st::task<> select_own(std::int64_t n) {
  st::chan<std::int64_t> a(1), b(1);
  co_await a.send(0);
  for (std::int64_t i = 0; i < n; ++i) {
    auto s = co_await st::select{a.recv(), b.recv()};
    if (s.index() == 0) {
      co_await b.send(*s.get<0>());
    } else {
      co_await a.send(*s.get<1>());
    }
  }
}
inline st::task<> select_uncontended(int tasks, std::int64_t n) {
  st::group all;
  for (int i = 0; i < tasks; ++i) all.go(select_own, n / tasks);
  co_await all.join();
}

inline st::task<> select_shared(st::chan<std::int64_t> a, st::chan<std::int64_t> b,
                                std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    auto s = co_await st::select{a.recv(), b.recv()};
    if (s.index() == 0) {
      co_await b.send(*s.get<0>());
    } else {
      co_await a.send(*s.get<1>());
    }
  }
}
inline st::task<> select_async_contended(int tasks, std::int64_t n) {
  const st::chan<std::int64_t> a(static_cast<std::size_t>(tasks)),
      b(static_cast<std::size_t>(tasks));
  st::group all;
  for (int i = 0; i < tasks; ++i) {
    co_await a.send(0);
    all.go(select_shared, a, b, n / tasks);
  }
  co_await all.join();
}

/// One of three senders that a selector listens to, each in a select with a done channel.
inline st::task<> select_feed(st::sender<std::int64_t> out, st::receiver<std::int64_t> done) {
  for (;;) {
    auto s = co_await st::select{out.send(0), done.recv()};
    if (s.index() == 1) co_return;
  }
}
inline st::task<> select_three(st::receiver<std::int64_t> a, st::receiver<std::int64_t> b,
                               st::receiver<std::int64_t> c, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    co_await st::select{a.recv(), b.recv(), c.recv()};
  }
}
/// Capacity 0 and a selector a worker: sync_contended; 1 and one: contended_1sel.
inline st::task<> select_contended(std::size_t capacity, int selectors, std::int64_t n) {
  st::chan<std::int64_t> a(capacity), b(capacity), c(capacity), done(0);
  st::group feeds, selects;
  for (int i = 0; i < selectors; ++i) {
    feeds.go(select_feed, a, done);
    feeds.go(select_feed, b, done);
    feeds.go(select_feed, c, done);
    selects.go(select_three, a, b, c, n / selectors);
  }
  co_await selects.join();
  done.close();
  co_await feeds.join();
}

inline st::task<> select_default_empty(std::int64_t n) {
  st::chan<std::int64_t> c(0);
  for (std::int64_t i = 0; i < n; ++i) {
    auto s = co_await st::select{c.recv(), st::otherwise};
    benchmark::DoNotOptimize(s.index());
  }
}

}  // namespace work
