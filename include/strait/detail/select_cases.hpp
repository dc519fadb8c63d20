// What select keeps of each of its cases, and how it asks the one that won.
//
// An operation stays where its expression made it, for as long as the select is awaited; something
// that only makes an operation (a join handle, a context) has it made here.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include <strait/detail/promise.hpp>
#include <strait/detail/select_engine.hpp>

namespace strait::inline STRAIT_ABI {

/// The case of a select that is taken when no other is ready at this instant.
struct otherwise_t {
  explicit otherwise_t() = default;
};
inline constexpr otherwise_t otherwise{};

namespace detail {

template <class T>
using value_or_unit = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// What select keeps of a case: a reference to the operation, which lives in the same expression.
template <class Op>
struct case_holder {
  static_assert(is_operation<Op>,
                "strait: a case of select is an operation: ch.recv(), ch.send(v), st::after(d), "
                "st::otherwise, a join_handle ...");
  static_assert(
      !std::is_lvalue_reference_v<Op>,
      "strait: make a select case in the braces: select{ch.recv()}, not a named operation");
  using value = value_or_unit<decltype(std::declval<Op&>().result())>;

  explicit case_holder(Op& op) noexcept : op_(&op) {}
  select_case as_case() noexcept { return select_case::of(*op_); }
  value result() {
    if constexpr (std::is_void_v<decltype(op_->result())>) {
      op_->result();
      return {};
    } else {
      return op_->result();
    }
  }

 private:
  Op* op_;
};

/// A join_handle, a context ...: makes its operation now, which the select holds.
template <makes_operation M>
struct case_holder<M> {
  using op_type = decltype(std::declval<M>().as_operation());
  using value = value_or_unit<decltype(std::declval<op_type&>().result())>;

  explicit case_holder(std::remove_reference_t<M>& m) : op_(m.as_operation()) {}
  select_case as_case() noexcept { return select_case::of(op_); }
  value result() {
    if constexpr (std::is_void_v<decltype(op_.result())>) {
      op_.result();
      return {};
    } else {
      return op_.result();
    }
  }

 private:
  op_type op_;
};

template <>
struct case_holder<const otherwise_t&> {
  using value = std::monostate;
  explicit case_holder(const otherwise_t&) noexcept {}
  select_case as_case() const noexcept { return {}; }
  value result() const noexcept { return {}; }
};

/// An operation with what is to be done when it wins.
template <class Op, class F>
struct handled_case {
  static_assert(is_operation<Op> && !std::is_lvalue_reference_v<Op>);
  handled_case(Op& o, F&& h) : op(&o), handler(&h) {}
  Op* op;
  std::remove_reference_t<F>* handler;
};
template <class Op, class F>
struct case_holder<handled_case<Op, F>> {
  using value = std::monostate;
  explicit case_holder(handled_case<Op, F>& c) noexcept : case_(&c) {}
  select_case as_case() noexcept { return select_case::of(*case_->op); }
  value result() {
    if constexpr (std::is_void_v<decltype(case_->op->result())>) {
      case_->op->result();
      (*case_->handler)();
    } else {
      (*case_->handler)(case_->op->result());
    }
    return {};
  }

 private:
  handled_case<Op, F>* case_;
};

}  // namespace detail

}  // namespace strait::inline STRAIT_ABI
