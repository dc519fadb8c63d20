// Waiting for one of several operations.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <strait/chan.hpp>
#include <strait/detail/select_cases.hpp>
#include <strait/detail/select_engine.hpp>

namespace strait::inline STRAIT_ABI {

/// What a select gives: which case won, and its result.
template <class... Values>
class selected {
 public:
  template <std::size_t I, class V>
  selected(std::in_place_index_t<I> i, V&& v) : value_(i, std::forward<V>(v)) {}

  /// The position of the winner, from 0.
  std::size_t index() const noexcept { return value_.index(); }
  /// The winner's result: what co_await of that operation alone would give (a `received<T>`, a
  /// `delivery<T>`, std::monostate for a send ...). Throws std::bad_variant_access if I did not
  /// win.
  template <std::size_t I>
  auto& get() {
    return std::get<I>(value_);
  }

 private:
  std::variant<Values...> value_;
};

/// `co_await select{a.recv(), b.send(v), after(5s), otherwise}` does exactly one of the operations,
/// one that is ready, uniformly at random, or the first to become so; the others have had no
/// effect. The operands are evaluated once, from left to right. A closed channel is ready (its
/// receive gives the end, its send throws), a nil one never; the same channel may appear several
/// times. With `otherwise` it never suspends. If the chosen case fails the exception has its
/// `case_index()`. Suspends unless a case is ready; whoever makes a case ready resumes it; a
/// cancellation throws `cancelled`, and then no case has had an effect.
template <class... Cases>
class select : public detail::operation {
  static constexpr std::size_t size = sizeof...(Cases);
  static_assert(size > 0, "strait: a select needs a case");

 public:
  using result_type = selected<typename detail::case_holder<Cases>::value...>;

  explicit(false) select(Cases&&... cases) : select(false, std::forward<Cases>(cases)...) {}
  select(const select&) = delete;
  select& operator=(const select&) = delete;

  bool await_ready() {
    cases_ = std::apply([](auto&... h) { return std::array{h.as_case()...}; }, holders_);
    return engine_.begin(g_);
  }
  bool await_suspend(std::coroutine_handle<> self) { return engine_.suspend(g_, self); }
  result_type await_resume() { return result_of<0>(engine_.finish(g_)); }

 protected:
  select(bool ordered, Cases&&... cases)
      : holders_(cases...),
        engine_(cases_.data(), size, locks_.data(), order_.data(), otherwise_at(), ordered) {}

 private:
  static constexpr std::size_t otherwise_at() noexcept {
    constexpr bool is_otherwise[] = {std::is_same_v<Cases, const otherwise_t&>...};
    static_assert((std::is_same_v<Cases, const otherwise_t&> + ...) <= 1,
                  "strait: a select has one otherwise at most");
    for (std::size_t i = 0; i < size; ++i) {
      if (is_otherwise[i]) return i;
    }
    return detail::select_engine::none;
  }

  template <std::size_t I>
  result_type result_of(std::size_t winner) {
    if constexpr (I + 1 < size) {
      if (winner != I) return result_of<I + 1>(winner);
    }
    return detail::with_case_index(
        I, [this] { return result_type(std::in_place_index<I>, std::get<I>(holders_).result()); });
  }

  std::tuple<detail::case_holder<Cases>...> holders_;
  std::array<detail::select_case, size> cases_;
  std::array<detail::spin_lock*, size> locks_;
  std::array<std::uint32_t, size> order_;
  detail::select_engine engine_;
};
template <class... Cases>
select(Cases&&...) -> select<Cases...>;

/// A select that prefers the first of its cases that is ready.
template <class... Cases>
class ordered_select : public select<Cases...> {
 public:
  explicit(false) ordered_select(Cases&&... cases)
      : select<Cases...>(true, std::forward<Cases>(cases)...) {}
};
template <class... Cases>
ordered_select(Cases&&...) -> ordered_select<Cases...>;

/// A case that calls `handler(result)` when it wins: `select{on(rx.recv(), [&](auto v) { ... })}`.
/// Capture by reference: an owning lambda in a co_await expression is destroyed twice by g++ 12.
template <class Op, class F>
detail::handled_case<Op, F> on(Op&& op, F&& handler) {
  return {op, std::forward<F>(handler)};
}

/// A select over a list that is made at run time: `auto& a = list.add(rx.recv()); ...;
/// auto i = co_await list; if (i == a.index()) use(a.result());`. For one co_await.
class select_list {
  struct entry_base {
    virtual ~entry_base() = default;
    virtual detail::select_case as_case() = 0;
  };

 public:
  template <class Op>
  class entry final : public entry_base {
   public:
    entry(Op&& op, std::size_t at) : op_(std::move(op)), index_(at) {}
    std::size_t index() const noexcept { return index_; }
    /// Its result, if it won; a channel_error has the case_index.
    decltype(auto) result() {
      return detail::with_case_index(index_, [this]() -> decltype(auto) { return op_.result(); });
    }

   private:
    detail::select_case as_case() override { return detail::select_case::of(op_); }
    Op op_;
    std::size_t index_;
  };

  select_list() = default;
  select_list(const select_list&) = delete;
  select_list& operator=(const select_list&) = delete;

  template <class Op>
    requires detail::is_operation<Op>
  entry<std::remove_cvref_t<Op>>& add(Op&& op) {
    auto e =
        std::make_unique<entry<std::remove_cvref_t<Op>>>(std::forward<Op>(op), entries_.size());
    auto& added = *e;
    entries_.push_back(std::move(e));
    return added;
  }
  /// A send that refers to a value takes it into the list: the reference would not last.
  template <class T>
  entry<detail::send_op<T>>& add(detail::send_ref_op<T>&& op) {
    return add(std::move(op).owning());
  }
  /// Adds the case that wins when no other is ready; gives its index.
  std::size_t add(const otherwise_t&) {
    otherwise_ = entries_.size();
    entries_.push_back(nullptr);
    return otherwise_;
  }
  std::size_t size() const noexcept { return entries_.size(); }

  /// `co_await list` gives the index of the winner. An empty list waits for a cancellation.
  auto as_operation() { return waiting(*this); }

 private:
  class waiting : public detail::operation {
   public:
    explicit waiting(select_list& l)
        : cases_(l.entries_.size()),
          locks_(cases_.size()),
          order_(cases_.size()),
          engine_(cases_.data(), cases_.size(), locks_.data(), order_.data(), l.otherwise_, false) {
      for (std::size_t i = 0; i < cases_.size(); ++i) {
        if (l.entries_[i]) cases_[i] = l.entries_[i]->as_case();
      }
    }
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;
    bool await_ready() { return engine_.begin(g_); }
    bool await_suspend(std::coroutine_handle<> self) { return engine_.suspend(g_, self); }
    std::size_t await_resume() { return engine_.finish(g_); }

   private:
    std::vector<detail::select_case> cases_;
    std::vector<detail::spin_lock*> locks_;
    std::vector<std::uint32_t> order_;
    detail::select_engine engine_;
  };

  std::vector<std::unique_ptr<entry_base>> entries_;
  std::size_t otherwise_ = detail::select_engine::none;
};

}  // namespace strait::inline STRAIT_ABI
