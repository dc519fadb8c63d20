// What a goroutine keeps of its callable and of each argument.
//
// A coroutine's frame holds its by-value parameters, and refers to whatever its reference
// parameters were bound to; a lambda's captures stay outside of it as well. So:
// - a plain function or a lambda without captures, all of whose parameters hold what they are
// given,
//   needs nothing beside the frame;
// - otherwise the callable and the arguments are kept in a block of their own. An argument that a
//   reference parameter could only be bound to through a temporary ("text" for a const string&) is
//   kept as what the parameter refers to: the temporary would be gone before the coroutine runs.
//   One that is converted to another class by value is kept too: that class may be a view of it.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

struct any_chan_handle;

/// The parameter types of a callable, known if it has one call operator that is no template.
struct unknown_parameters;
template <bool Stateless, class... P>
struct parameters;
struct as_given {};  // a parameter that takes any argument: the object of a member function

template <class M>
struct call_operator {
  using type = unknown_parameters;
};
template <class R, class L, class... P>
struct call_operator<R (L::*)(P...)> {
  using type = parameters<false, P...>;
};
template <class R, class L, class... P>
struct call_operator<R (L::*)(P...) noexcept> : call_operator<R (L::*)(P...)> {};
template <class R, class L, class... P>
struct call_operator<R (L::*)(P...) const> {
  using type = parameters<std::is_empty_v<L>, P...>;
};
template <class R, class L, class... P>
struct call_operator<R (L::*)(P...) const noexcept> : call_operator<R (L::*)(P...) const> {};

template <class F, class = void>
struct parameters_of {
  using type = unknown_parameters;
};
template <class R, class... P>
struct parameters_of<R (*)(P...), void> {
  using type = parameters<true, P...>;
};
template <class R, class... P>
struct parameters_of<R (*)(P...) noexcept, void> : parameters_of<R (*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...), void> {
  using type = parameters<false, as_given, P...>;
};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...) const, void> : parameters_of<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...) noexcept, void> : parameters_of<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct parameters_of<R (C::*)(P...) const noexcept, void> : parameters_of<R (C::*)(P...)> {};
template <class F>
struct parameters_of<F, std::void_t<decltype(&F::operator())>>
    : call_operator<decltype(&F::operator())> {};

template <class T>
struct is_reference_wrapper : std::false_type {};
template <class T>
struct is_reference_wrapper<std::reference_wrapper<T>> : std::true_type {};

/// As what an argument of type A is kept for a parameter of type P.
template <class P, class A, class D = std::decay_t<A>>
using kept_t = std::conditional_t<std::is_reference_v<P> && !is_reference_wrapper<D>::value &&
                                      !std::is_convertible_v<D*, std::remove_reference_t<P>*>,
                                  std::remove_cvref_t<P>, D>;

/// Whether a parameter of type P holds by itself what it is given.
template <class P, class A>
inline constexpr bool holds =
    !std::is_reference_v<P> && (std::is_same_v<std::remove_cv_t<P>, std::decay_t<A>> ||
                                std::is_scalar_v<P> || std::is_base_of_v<any_chan_handle, P>);

template <class... T>
struct types {};

/// `in_frame`: nothing is needed beside the frame. `list`: as what the arguments are kept
/// otherwise.
template <class Parameters, class Arguments>
struct keeping;
template <class Parameters, class... A>
struct keeping<Parameters, types<A...>> {
  static constexpr bool in_frame = false;
  using list = types<std::decay_t<A>...>;
};
template <bool Stateless, class... P, class... A>
  requires(sizeof...(P) == sizeof...(A))
struct keeping<parameters<Stateless, P...>, types<A...>> {
  static constexpr bool in_frame = Stateless && (holds<P, A> && ...);
  using list = types<kept_t<P, A>...>;
};

template <class F, class... Args>
using keeping_of = keeping<typename parameters_of<std::decay_t<F>>::type, types<Args...>>;

}  // namespace strait::inline STRAIT_ABI::detail
