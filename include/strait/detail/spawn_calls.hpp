// The call operators of `go`, with the caller's place in the source.
#pragma once

#include <source_location>
#include <utility>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// `go` for callables with up to eight arguments: a pack cannot be followed by the default argument
/// that notes the caller's place. `Self::spawn(site, f, args...)` does the work.
template <class Self>
class spawn_calls {
  using site = std::source_location;
  const Self& self() const noexcept { return static_cast<const Self&>(*this); }

 public:
  template <class F>
  auto operator()(F&& f, site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f));
  }
  template <class F, class A1>
  auto operator()(F&& f, A1&& a1, site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1));
  }
  template <class F, class A1, class A2>
  auto operator()(F&& f, A1&& a1, A2&& a2, site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2));
  }
  template <class F, class A1, class A2, class A3>
  auto operator()(F&& f, A1&& a1, A2&& a2, A3&& a3, site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2),
                        std::forward<A3>(a3));
  }
  template <class F, class A1, class A2, class A3, class A4>
  auto operator()(F&& f, A1&& a1, A2&& a2, A3&& a3, A4&& a4, site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2),
                        std::forward<A3>(a3), std::forward<A4>(a4));
  }
  template <class F, class A1, class A2, class A3, class A4, class A5>
  auto operator()(F&& f, A1&& a1, A2&& a2, A3&& a3, A4&& a4, A5&& a5,
                  site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2),
                        std::forward<A3>(a3), std::forward<A4>(a4), std::forward<A5>(a5));
  }
  template <class F, class A1, class A2, class A3, class A4, class A5, class A6>
  auto operator()(F&& f, A1&& a1, A2&& a2, A3&& a3, A4&& a4, A5&& a5, A6&& a6,
                  site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2),
                        std::forward<A3>(a3), std::forward<A4>(a4), std::forward<A5>(a5),
                        std::forward<A6>(a6));
  }
  template <class F, class A1, class A2, class A3, class A4, class A5, class A6, class A7>
  auto operator()(F&& f, A1&& a1, A2&& a2, A3&& a3, A4&& a4, A5&& a5, A6&& a6, A7&& a7,
                  site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2),
                        std::forward<A3>(a3), std::forward<A4>(a4), std::forward<A5>(a5),
                        std::forward<A6>(a6), std::forward<A7>(a7));
  }
  template <class F, class A1, class A2, class A3, class A4, class A5, class A6, class A7, class A8>
  auto operator()(F&& f, A1&& a1, A2&& a2, A3&& a3, A4&& a4, A5&& a5, A6&& a6, A7&& a7, A8&& a8,
                  site at = site::current()) const {
    return self().spawn(at, std::forward<F>(f), std::forward<A1>(a1), std::forward<A2>(a2),
                        std::forward<A3>(a3), std::forward<A4>(a4), std::forward<A5>(a5),
                        std::forward<A6>(a6), std::forward<A7>(a7), std::forward<A8>(a8));
  }
};

}  // namespace strait::inline STRAIT_ABI::detail
