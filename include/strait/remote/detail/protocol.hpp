// The ids, ordinals and struct shapes of strait.capnp, and the accessors that go with them.
//
// Invariant: equal to what `capnp compile` makes of ../strait.capnp; tests/remote/engine_test.cpp
// compares every number here with it. Parameters and results are spoken with typelessRequest and
// dispatchCall, which are public API and byte-identical to generated code.
//
// A peer's struct may be shorter (an older version) or longer (a newer one): a data field outside
// of it reads as 0, a pointer outside as null.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <capnp/any.h>
#include <capnp/capability.h>
#include <kj/debug.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail::protocol {

using any = capnp::AnyPointer;
using client = capnp::Capability::Client;

struct shape {
  std::uint16_t words;
  std::uint16_t pointers;
};

template <class T>
struct data {
  std::uint32_t byte;
};
struct flag {
  std::uint32_t bit;
};
struct pointer {
  std::uint32_t index;
};

inline constexpr std::uint16_t version = 1;

struct peer_info {
  static constexpr shape size{3, 3};
  static constexpr pointer incarnation{0}, name{1}, token{2};
  static constexpr data<std::uint16_t> protocol{0};
  static constexpr data<std::uint64_t> features{8};
  static constexpr data<std::uint32_t> max_item_bytes{4}, heartbeat_ms{16}, grace_ms{20};
};

struct type_info {
  static constexpr shape size{1, 3};
  static constexpr pointer name{0}, fingerprint{1}, layout{2};
  static constexpr data<std::uint16_t> fields{0};
};

struct end {
  static constexpr shape size{2, 1};
  static constexpr data<std::uint16_t> tag{0};
  static constexpr pointer content{0};
  static constexpr data<std::uint64_t> last_seq{8};
  enum kind : std::uint16_t {
    closed,
    failed,
    lost,
    restarted,
    mismatch,
    denied,
    drained,
    no_receiver
  };
};

struct chan_info {
  static constexpr shape size{2, 3};
  static constexpr data<std::uint64_t> id{0};
  static constexpr pointer name{0}, type{1}, ref{2};
  static constexpr data<std::uint32_t> capacity{8};
};

struct hub {
  static constexpr std::uint64_t id = 0xd1e0c5a37f4b9a10;
  struct open {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{0, 2}, results{1, 4};
    static constexpr pointer me{0}, resume{1};
    static constexpr pointer session{0}, home{1}, token{2}, refused{3};
    static constexpr flag resumed{0};
  };
};

struct session {
  static constexpr std::uint64_t id = 0x9c2f4e81b6d03a27;
  struct bind {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{1, 2}, results{0, 3};
    static constexpr pointer name{0}, want{1};
    static constexpr data<std::uint8_t> rights{0};
    static constexpr pointer chan{0}, info{1}, refused{2};
  };
  struct ping {
    static constexpr std::uint16_t method = 4;
    static constexpr shape params{1, 0}, results{2, 0};
    static constexpr data<std::uint64_t> nonce{0};
  };
  struct go_away {
    static constexpr std::uint16_t method = 5;
    static constexpr shape params{1, 1}, results{0, 0};
    static constexpr data<std::uint32_t> drain_ms{0};
    static constexpr pointer reason{0};
  };
};

struct channel {
  static constexpr std::uint64_t id = 0xe83b7ad5419c06f2;
  struct info {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{0, 0}, results{0, 1};
  };
  struct sender {
    static constexpr std::uint16_t method = 1;
    static constexpr shape params{2, 1}, results{2, 2};
    static constexpr data<std::uint64_t> id{0};
    static constexpr pointer credits{0};
    static constexpr data<std::uint32_t> window{8};
    static constexpr pointer sender_cap{0}, refused{1};
    static constexpr data<std::uint64_t> grant_up_to{0}, bytes_up_to{8};
  };
  struct receiver {
    static constexpr std::uint16_t method = 2;
    static constexpr shape params{2, 1}, results{1, 2};
    static constexpr data<std::uint64_t> id{0};
    static constexpr pointer sink{0};
    static constexpr data<std::uint32_t> prefetch{8};
    static constexpr flag manual_ack{96};
    static constexpr pointer receiver_cap{0}, refused{1};
    static constexpr data<std::uint32_t> granted_prefetch{0};
  };
  struct close {
    static constexpr std::uint16_t method = 3;
    static constexpr shape params{0, 1}, results{1, 0};
    static constexpr pointer end{0};
    static constexpr flag first{0};
  };
};

struct sender {
  static constexpr std::uint64_t id = 0xf5c91b3e60a7d284;
  struct push {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{2, 3}, results{3, 0};
    static constexpr data<std::uint64_t> first{0}, bytes{8};
    static constexpr pointer items{0}, keys{1}, trace{2};
    static constexpr data<std::uint64_t> accepted_up_to{0}, grant_up_to{8}, bytes_up_to{16};
  };
  struct flush {
    static constexpr std::uint16_t method = 1;
    static constexpr shape params{2, 0}, results{1, 0};
    static constexpr data<std::uint64_t> up_to{0};
    static constexpr data<std::uint16_t> want{8};
  };
  struct finish {
    static constexpr std::uint16_t method = 3;
    static constexpr shape params{1, 1}, results{0, 0};
    static constexpr data<std::uint64_t> last{0};
    static constexpr pointer end{0};
  };
};

struct credit_sink {
  static constexpr std::uint64_t id = 0xb02d68f1c954e7a3;
  struct credit {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{4, 0}, results{0, 0};
    static constexpr data<std::uint64_t> grant_up_to{0}, accepted_up_to{8}, received_up_to{16},
        bytes_up_to{24};
  };
  struct ended {
    static constexpr std::uint16_t method = 2;
    static constexpr shape params{0, 1}, results{0, 0};
    static constexpr pointer end{0};
  };
};

struct sink {
  static constexpr std::uint64_t id = 0x8d7ae4096b3cf512;
  struct push {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{3, 2}, results{4, 0};
    static constexpr data<std::uint64_t> first{0}, bytes{8};
    static constexpr data<std::uint32_t> attempt{16};
    static constexpr pointer items{0}, trace{1};
    static constexpr data<std::uint64_t> demand_up_to{0}, acked_up_to{8}, bytes_up_to{16};
    static constexpr data<std::uint32_t> prefetch{24};
  };
  struct ended {
    static constexpr std::uint16_t method = 1;
    static constexpr shape params{0, 1}, results{0, 0};
    static constexpr pointer end{0};
  };
  struct prefetch {
    static constexpr std::uint16_t method = 3;
    static constexpr shape params{1, 0}, results{0, 0};
    static constexpr data<std::uint32_t> items{0};
  };
};

struct receiver {
  static constexpr std::uint64_t id = 0xc4160eb98f27d35b;
  struct demand {
    static constexpr std::uint16_t method = 0;
    static constexpr shape params{4, 0}, results{0, 0};
    static constexpr data<std::uint64_t> up_to{0}, acked_up_to{8}, bytes_up_to{16};
    static constexpr data<std::uint32_t> prefetch{24};
  };
  struct withdraw {
    static constexpr std::uint16_t method = 1;
    static constexpr shape params{1, 0}, results{1, 0};
    static constexpr data<std::uint64_t> up_to{0};
  };
  struct ack {
    static constexpr std::uint16_t method = 2;
    static constexpr shape params{0, 1}, results{0, 0};
    static constexpr pointer seqs{0};
  };
  struct give_back {
    static constexpr std::uint16_t method = 3;
    static constexpr shape params{1, 1}, results{0, 0};
    static constexpr data<std::uint32_t> delay_ms{0};
    static constexpr flag tried{32};
    static constexpr pointer seqs{0};
  };
  struct finish {
    static constexpr std::uint16_t method = 4;
    static constexpr shape params{0, 0}, results{0, 0};
  };
};

// -- accessors
// --------------------------------------------------------------------------------------

/// Reads fields of a struct that a peer sent.
class reader {
 public:
  explicit reader(any::Reader p) {
    if (p.isNull()) return;
    if (!p.isStruct()) KJ_FAIL_REQUIRE("a struct was expected");
    auto s = p.getAs<capnp::AnyStruct>();
    data_ = s.getDataSection();
    pointers_ = s.getPointerSection();
    null_ = false;
  }

  bool null() const { return null_; }

  template <class T>
  T get(data<T> f) const {
    T v{};
    if (f.byte + sizeof(T) <= data_.size()) std::memcpy(&v, data_.begin() + f.byte, sizeof v);
    return v;
  }
  bool get(flag f) const {
    return f.bit / 8 < data_.size() && ((data_[f.bit / 8] >> (f.bit % 8)) & 1) != 0;
  }
  any::Reader get(pointer f) const {
    return f.index < pointers_.size() ? pointers_[f.index] : any::Reader();
  }
  std::string text(pointer f) const {
    auto p = get(f);
    if (p.isNull()) return {};
    auto t = p.getAs<capnp::Text>();
    return std::string(t.cStr(), t.size());
  }
  std::string bytes(pointer f) const {
    auto p = get(f);
    if (p.isNull()) return {};
    auto d = p.getAs<capnp::Data>();
    return std::string(reinterpret_cast<const char*>(d.begin()), d.size());
  }
  client cap(pointer f) const { return get(f).getAs<capnp::Capability>(); }

 private:
  kj::ArrayPtr<const kj::byte> data_;
  capnp::List<any>::Reader pointers_;
  bool null_ = true;
};

/// Fills a struct that goes to a peer.
class writer {
 public:
  writer(any::Builder p, shape size)
      : struct_(p.initAsAnyStruct(size.words, size.pointers)),
        data_(struct_.getDataSection()),
        pointers_(struct_.getPointerSection()) {}

  template <class T>
  void set(data<T> f, std::type_identity_t<T> v) {
    std::memcpy(data_.begin() + f.byte, &v, sizeof v);
  }
  void set(flag f, bool v) {
    kj::byte bit = static_cast<kj::byte>(1U << (f.bit % 8));
    kj::byte& at = data_[f.bit / 8];
    at = static_cast<kj::byte>(v ? at | bit : at & ~bit);
  }
  any::Builder get(pointer f) { return pointers_[f.index]; }
  void text(pointer f, std::string_view v) {
    get(f).setAs<capnp::Text>(capnp::Text::Reader(std::string(v).c_str(), v.size()));
  }
  void bytes(pointer f, std::string_view v) {
    get(f).setAs<capnp::Data>(
        capnp::Data::Reader(reinterpret_cast<const kj::byte*>(v.data()), v.size()));
  }
  void cap(pointer f, client c) { get(f).setAs<capnp::Capability>(kj::mv(c)); }

 private:
  capnp::AnyStruct::Builder struct_;
  kj::ArrayPtr<kj::byte> data_;
  capnp::List<any>::Builder pointers_;
};

// -- calls
// ------------------------------------------------------------------------------------------

using request = capnp::Request<any, any>;
using response = capnp::Response<any>;
using call_context = capnp::CallContext<any, any>;
using dispatched = capnp::Capability::Server::DispatchCallResult;

/// A request of method `M` of interface `I` with its parameters set aside. `extra` words: what the
/// caller will put behind the pointers, so that the message has one segment.
template <class I, class M>
request make_request(client& c, std::uint64_t extra = 0, std::uint32_t caps = 0,
                     bool results_hold_caps = false) {
  return typeless_request(
      c, I::id, M::method,
      capnp::MessageSize{std::uint64_t{M::params.words} + M::params.pointers + 1 + extra, caps},
      results_hold_caps);
}

template <class M>
writer params_of(request& r) {
  return writer(r, M::params);
}

template <class M>
writer results_of(call_context& c, std::uint64_t extra = 0, std::uint32_t caps = 0) {
  return writer(c.getResults(capnp::MessageSize{
                    std::uint64_t{M::results.words} + M::results.pointers + 1 + extra, caps}),
                M::results);
}

/// The answer of a method that completed in place.
inline dispatched done() {
  return dispatch_result<dispatched>(kj::Promise<void>(kj::READY_NOW), false, false);
}

}  // namespace strait::inline STRAIT_ABI::detail::protocol
