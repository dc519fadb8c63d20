// One call for all who ask for the same thing at the same time: Go's singleflight.
//
// The call runs in a goroutine of its own, under a detached context: whoever asked first may be
// cancelled without taking the others' answer along. What it calls for is in a table while it
// runs; it leaves the table before its answer is told, so who comes later starts anew.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include <strait/detail/awaited.hpp>
#include <strait/go.hpp>
#include <strait/sync/latch.hpp>
#include <strait/sync/once.hpp>
#include <strait/with.hpp>

namespace strait::inline STRAIT_ABI {

/// Calls that are made once for all who ask for the same key meanwhile. V is copied to each; share
/// a large one with std::shared_ptr<const V>.
template <class K, class V, class Hash = std::hash<K>>
class single_flight {
 public:
  /// What a call gave.
  struct answer {
    V value;
    bool shared;  ///< Others got it as well.
  };

  single_flight() : table_(std::make_shared<table>()) {}
  single_flight(const single_flight&) = delete;
  single_flight& operator=(const single_flight&) = delete;

  /// Gives what `f()`, a function or a coroutine, gives; while it runs, who asks for the same key
  /// gets the same answer and f of its own is not called. Suspends until it is there. Throws what f
  /// threw, to all; `cancelled` if the caller is, and then the call goes on for the others.
  template <class F>
  task<answer> call(K key, F f) {
    std::shared_ptr<flight> mine;
    bool first = false;
    {
      std::lock_guard hold(table_->lock);
      std::shared_ptr<flight>& entry = table_->flights[key];
      first = entry == nullptr;
      if (first) entry = std::make_shared<flight>();
      ++entry->asked;
      mine = entry;
    }
    if (first) {
      detail::goroutine* const self = co_await detail::this_goroutine();
      detail::context_ref apart(new detail::context_state(self->ctx, self->sched, true));
      const detail::context_stay stay(self, apart.get());
      try {
        go(&single_flight::template fly<F>, table_, mine, key, std::move(f)).detach();
      } catch (...) {
        land(*table_, mine, key, std::current_exception());
      }
    }
    co_await detail::behalf_of_caller(mine->landed.wait());
    if (mine->error) std::rethrow_exception(mine->error);
    co_return answer{*mine->value, mine->asked > 1};
  }
  /// Who asks for the key from now on starts a call of its own.
  void forget(const K& key) {
    std::lock_guard hold(table_->lock);
    table_->flights.erase(key);
  }

 private:
  struct flight {
    std::size_t asked = 0;  // written under the table's lock, and no more once it has landed
    std::optional<V> value;
    std::exception_ptr error;
    latch landed{1};
  };
  struct table {
    std::mutex lock;
    std::unordered_map<K, std::shared_ptr<flight>, Hash> flights;
  };

  template <class F>
  static task<> fly(std::shared_ptr<table> from, std::shared_ptr<flight> it, K key, F f) {
    std::exception_ptr error;
    try {
      auto&& v = co_await detail::call_either(f);
      it->value.emplace(std::forward<decltype(v)>(v));
    } catch (const cancelled&) {  // not by those who wait, so they must not take it for their own
      error = std::make_exception_ptr(join_error("strait: single_flight: the call was cancelled"));
    } catch (...) {
      error = std::current_exception();
    }
    land(*from, it, key, std::move(error));
  }

  static void land(table& from, const std::shared_ptr<flight>& it, const K& key,
                   std::exception_ptr error) {
    it->error = std::move(error);
    {
      std::lock_guard hold(from.lock);
      const auto at = from.flights.find(key);
      if (at != from.flights.end() && at->second == it) from.flights.erase(at);
    }
    it->landed.count_down();
  }

  const std::shared_ptr<table> table_;
};

}  // namespace strait::inline STRAIT_ABI
