// What differs between the Cap'n Proto releases that strait supports (0.9.2 and 1.x), in one place.
//
// Every header that includes something of <capnp/...> or <kj/...> includes this one first: the
// operators below must be declared before <capnp/blob.h> is read. It includes no more of Cap'n
// Proto than <capnp/common.h>, so the codec does not pay for the RPC headers; what concerns RPC is
// a template over the RPC type instead.
#pragma once

// g++ 12 at -O2 takes the empty half of a moved kj::Maybe for uninitialized, and says so although
// the line is in a system header: what counts is the setting where the line was read.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <capnp/common.h>
#include <kj/string.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstdint>
#include <utility>

#include <strait/detail/config.hpp>

// Cap'n Proto before 1.0.1 leaves `const char* == kj::StringPtr` to the compiler in C++20, which
// would reverse StringPtr's member; since P2468 (clang 16, GCC 13) the presence of its operator!=
// forbids that, and <capnp/blob.h> no longer compiles (capnproto issue 1622). The conversion must
// be explicit: `b == a` would choose this very function, reversed, for ever.
#if CAPNP_VERSION < 1000001 && defined(__cpp_impl_three_way_comparison) && \
    (defined(__clang__) ? __clang_major__ >= 16 : __GNUC__ >= 13)
namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return StringPtr(a).operator==(b); }
inline bool operator!=(const char* a, const StringPtr& b) { return !StringPtr(a).operator==(b); }
}  // namespace kj
#endif

namespace strait::inline STRAIT_ABI::detail {

/// `client.typelessRequest(...)` of either release. `results_hold_caps` says whether a call may be
/// pipelined on the result: 1.x puts one bit on the wire for it, 0.9.2 has no such bit.
template <class Client>
auto typeless_request(Client& client, std::uint64_t interface_id, std::uint16_t method_id,
                      capnp::MessageSize size, [[maybe_unused]] bool results_hold_caps) {
#if CAPNP_VERSION >= 1000000
  typename Client::CallHints hints;
  hints.noPromisePipelining = !results_hold_caps;
  return client.typelessRequest(interface_id, method_id, size, hints);
#else
  return client.typelessRequest(interface_id, method_id, size);
#endif
}

/// What a `dispatchCall` returns, `Result` being `capnp::Capability::Server::DispatchCallResult`.
/// With `cancellable`, 0.9.2 must also be told through `allow_cancellation(context)`.
template <class Result, class Promise>
Result dispatch_result(Promise&& promise, bool streaming, [[maybe_unused]] bool cancellable) {
#if CAPNP_VERSION >= 1000000
  return Result{std::forward<Promise>(promise), streaming, cancellable};
#else
  return Result{std::forward<Promise>(promise), streaming};
#endif
}

/// Lets the caller cancel the call of `context`; a no-op in 1.x, where the dispatch result says so.
template <class Context>
void allow_cancellation([[maybe_unused]] Context& context) {
#if CAPNP_VERSION < 1000000
  context.allowCancellation();
#endif
}

/// The value of a kj::Maybe or null, without the macros, which 2.0 renames.
template <class T>
T* as_pointer(kj::Maybe<T>& maybe) {
#ifdef KJ_IF_SOME
  KJ_IF_SOME(value, maybe) { return &value; }
#else
  KJ_IF_MAYBE (value, maybe) {
    return value;
  }
#endif
  return nullptr;
}

}  // namespace strait::inline STRAIT_ABI::detail
