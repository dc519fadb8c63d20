// The floors of the local suite: a one-thread runtime with nothing in it that a workload does not
// need. Frames come from a free list, the run queue is a FIFO of handles, a value goes straight
// from one coroutine's frame to another's. No cancellation, no reports, no second thread.
//
// `spin` adds one lock on each channel operation, an exchange and a store: the least that a channel
// has to pay which several workers may use. `no_lock` is what is left without it.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace mini {

struct no_lock {
  void lock() noexcept {}
  void unlock() noexcept {}
};

class spin {
 public:
  void lock() noexcept {
    while (held_.exchange(1, std::memory_order_acquire) != 0) __builtin_ia32_pause();
  }
  void unlock() noexcept { held_.store(0, std::memory_order_release); }

 private:
  std::atomic<std::uint32_t> held_{0};
};

/// Free lists of frames, a class for every 32 bytes up to 1 KiB.
struct free_frame {
  free_frame* next;
};
inline thread_local constinit std::array<free_frame*, 32> free_frames{};

inline void* allocate(std::size_t bytes) {
  const std::size_t c = (bytes - 1) / 32;
  if (c >= free_frames.size()) return ::operator new(bytes);
  if (free_frame* const f = free_frames[c]; f != nullptr) {
    free_frames[c] = f->next;
    return f;
  }
  return ::operator new((c + 1) * 32);
}
inline void release(void* p, std::size_t bytes) noexcept {
  const std::size_t c = (bytes - 1) / 32;
  if (c >= free_frames.size()) return ::operator delete(p);
  free_frames[c] = ::new (p) free_frame{free_frames[c]};
}

/// Gives a thread's free frames back, at its end.
inline void drop_free_frames() noexcept {
  for (free_frame*& list : free_frames) {
    while (free_frame* const f = list) {
      list = f->next;
      ::operator delete(f);
    }
  }
}

/// The run queue; as many coroutines as the largest workload has at once.
class loop {
 public:
  void push(std::coroutine_handle<> h) noexcept { slots_[tail_++ & mask] = h; }
  void run() {
    while (head_ != tail_) slots_[head_++ & mask].resume();
  }

 private:
  static constexpr std::uint32_t mask = (1u << 17) - 1;
  std::unique_ptr<std::coroutine_handle<>[]> slots_{new std::coroutine_handle<>[mask + 1]};
  std::uint32_t head_ = 0, tail_ = 0;
};

/// A coroutine that is started by spawn and ends by itself; whoever joins it resumes directly.
struct task {
  struct promise_type {
    std::coroutine_handle<> joiner;

    static void* operator new(std::size_t n) { return allocate(n); }
    static void operator delete(void* p, std::size_t n) noexcept { release(p, n); }
    task get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    struct last {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
        const std::coroutine_handle<> next = h.promise().joiner;
        h.destroy();
        return next ? next : std::noop_coroutine();
      }
      void await_resume() const noexcept {}
    };
    last final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };

  /// For a task that has not run yet, which is all that the workloads need.
  struct joining {
    std::coroutine_handle<promise_type> of;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> self) const noexcept { of.promise().joiner = self; }
    void await_resume() const noexcept {}
  };

  std::coroutine_handle<promise_type> handle;
};

inline task::joining spawn(loop& l, task t) {
  l.push(t.handle);
  return {t.handle};
}

/// Counts the ends of tasks; the one who waits resumes after the last.
struct wait_group {
  loop& in;
  std::int64_t left;
  std::coroutine_handle<> waits;
  void done() noexcept {
    if (--left == 0) in.push(waits);
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept { waits = self; }
  void await_resume() const noexcept {}
};

struct yield {
  loop& in;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const noexcept { in.push(self); }
  void await_resume() const noexcept {}
};

/// A channel of 64-bit values; capacity 0 is a rendezvous.
template <class Lock>
class chan {
  struct waiter {
    waiter* next = nullptr;
    std::coroutine_handle<> who;
    std::int64_t value = 0;
  };
  struct list {
    waiter *first = nullptr, *last = nullptr;
    void push(waiter* w) noexcept {
      (last != nullptr ? last->next : first) = w;
      last = w;
    }
    waiter* pop() noexcept {
      waiter* const w = first;
      first = w->next;
      if (first == nullptr) last = nullptr;
      return w;
    }
  };

 public:
  chan(loop& l, std::uint32_t capacity)
      : loop_(l), capacity_(capacity), ring_(capacity != 0 ? capacity : 1) {}

  struct sending : waiter {
    chan& c;
    sending(chan& to, std::int64_t v) noexcept : c(to) { this->value = v; }
    bool await_ready() noexcept {
      c.lock_.lock();
      if (c.receivers_.first != nullptr) {
        waiter* const r = c.receivers_.pop();
        c.lock_.unlock();
        r->value = this->value;
        c.loop_.push(r->who);
        return true;
      }
      if (c.tail_ - c.head_ == c.capacity_) return false;
      c.put(this->value);
      c.lock_.unlock();
      return true;
    }
    void await_suspend(std::coroutine_handle<> self) noexcept {
      this->who = self;
      c.senders_.push(this);
      c.lock_.unlock();
    }
    void await_resume() const noexcept {}
  };

  struct receiving : waiter {
    chan& c;
    explicit receiving(chan& from) noexcept : c(from) {}
    bool await_ready() noexcept {
      c.lock_.lock();
      if (c.tail_ != c.head_) {
        this->value = c.get();
        waiter* s = nullptr;
        if (c.senders_.first != nullptr) {
          s = c.senders_.pop();
          c.put(s->value);
        }
        c.lock_.unlock();
        if (s != nullptr) c.loop_.push(s->who);
        return true;
      }
      if (c.senders_.first == nullptr) return false;
      waiter* const s = c.senders_.pop();
      c.lock_.unlock();
      this->value = s->value;
      c.loop_.push(s->who);
      return true;
    }
    void await_suspend(std::coroutine_handle<> self) noexcept {
      this->who = self;
      c.receivers_.push(this);
      c.lock_.unlock();
    }
    std::int64_t await_resume() const noexcept { return this->value; }
  };

  sending send(std::int64_t v) noexcept { return {*this, v}; }
  receiving recv() noexcept { return receiving(*this); }

  /// Of a select: looks without the lock first, as the one thread that changes it may.
  bool has_value() const noexcept { return tail_ != head_; }
  std::int64_t take() noexcept {
    lock_.lock();
    const std::int64_t v = get();
    lock_.unlock();
    return v;
  }

 private:
  void put(std::int64_t v) noexcept {
    ring_[tail_at_] = v;
    tail_at_ = tail_at_ + 1 == capacity_ ? 0 : tail_at_ + 1;
    ++tail_;
  }
  std::int64_t get() noexcept {
    const std::int64_t v = ring_[head_at_];
    head_at_ = head_at_ + 1 == capacity_ ? 0 : head_at_ + 1;
    ++head_;
    return v;
  }

  loop& loop_;
  const std::uint32_t capacity_;
  std::uint32_t head_ = 0, tail_ = 0, head_at_ = 0, tail_at_ = 0;
  list receivers_, senders_;
  Lock lock_;
  std::vector<std::int64_t> ring_;
};

/// A body whose work divides: `share()` runs on so many threads at once, which exist and have run
/// it once before the clock starts.
template <class F>
auto divided(int threads, F share) {
  return [threads, share](benchmark::State& state) {
    std::atomic<bool> go{false};
    std::atomic<int> warm{1}, left{threads - 1};
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) {
      others.emplace_back([&] {
        share();
        warm.fetch_add(1, std::memory_order_release);
        while (!go.load(std::memory_order_acquire)) __builtin_ia32_pause();
        share();
        left.fetch_sub(1, std::memory_order_release);
        drop_free_frames();
      });
    }
    share();
    while (warm.load(std::memory_order_acquire) != threads) __builtin_ia32_pause();
    for (auto _ : state) {
      go.store(true, std::memory_order_release);
      share();
      while (left.load(std::memory_order_acquire) != 0) __builtin_ia32_pause();
    }
    for (auto& t : others) t.join();
  };
}

}  // namespace mini
