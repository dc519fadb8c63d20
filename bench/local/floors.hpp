// The workloads on the mini runtime. The names and definitions are local.cpp's.
#pragma once

#include "floor.hpp"

namespace mini {

inline task empty() { co_return; }
inline task empty_of(wait_group& all) {
  all.done();
  co_return;
}

inline task spawn_join_one(loop& l, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await spawn(l, empty());
}

inline task spawn_batch(loop& l, std::int64_t n) {
  wait_group all{l, n, nullptr};
  for (std::int64_t i = 0; i < n; ++i) spawn(l, empty_of(all));
  co_await all;
}

inline task yields(loop& l, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await yield{l};
}

template <class Lock>
task echo(chan<Lock>& in, chan<Lock>& out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t v = co_await in.recv();
    co_await out.send(v);
  }
}
template <class Lock>
task ping(chan<Lock>& out, chan<Lock>& in, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    co_await out.send(i);
    benchmark::DoNotOptimize(co_await in.recv());
  }
}

template <class Lock>
task produce(chan<Lock>& out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await out.send(i);
}
template <class Lock>
task consume(chan<Lock>& in, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) benchmark::DoNotOptimize(co_await in.recv());
}

template <class Lock>
task select_two(chan<Lock>& a, chan<Lock>& b, std::int64_t n) {
  co_await a.send(0);
  for (std::int64_t i = 0; i < n; ++i) {
    if (a.has_value()) {
      const std::int64_t v = a.take();
      co_await b.send(v);
    } else {
      const std::int64_t v = b.take();
      co_await a.send(v);
    }
  }
  benchmark::DoNotOptimize(a.has_value() ? a.take() : b.take());
}

/// Runs `start(loop)` and what it spawned; a body for the suite.
template <class F>
auto once(F start) {
  return [start](benchmark::State& state) {
    loop l;
    for (auto _ : state) {
      start(l);
      l.run();
    }
  };
}

template <class Lock>
auto pingpong(std::int64_t n) {
  return once([n](loop& l) {
    chan<Lock> there(l, 0), back(l, 0);
    spawn(l, echo(there, back, n));
    spawn(l, ping(there, back, n));
    l.run();
  });
}

template <class Lock>
auto pipe(std::uint32_t capacity, int pairs, std::int64_t n) {
  return once([=](loop& l) {
    chan<Lock> c(l, capacity);
    for (int i = 0; i < pairs; ++i) {
      spawn(l, produce(c, n / pairs));
      spawn(l, consume(c, n / pairs));
    }
    l.run();
  });
}

}  // namespace mini
