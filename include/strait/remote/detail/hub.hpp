// The objects that a node shows to its peers (Hub, Session, Channel), and how connections begin and
// end. In the drive.
#pragma once

#include <strait/remote/detail/node_core.hpp>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace strait::inline STRAIT_ABI::detail {

/// A served channel, as one peer sees it.
class channel_server final : public capnp::Capability::Server {
 public:
  channel_server(std::shared_ptr<session> s, std::shared_ptr<served> what)
      : session_(std::move(s)), served_(std::move(what)) {}

  static void write_info(protocol::any::Builder p, const served& what) {
    using info = protocol::chan_info;
    protocol::writer w(p, info::size);
    w.text(info::name, what.name);
    w.set(info::capacity, what.capacity);
    write_type(w.get(info::type), what.type);
  }
  static void write_type(protocol::any::Builder p, const type_info& type) {
    using info = protocol::type_info;
    protocol::writer w(p, info::size);
    const auto print = type.fingerprint.bytes();
    w.text(info::name, type.name);
    w.bytes(info::fingerprint,
            std::string_view(reinterpret_cast<const char*>(print.data()), print.size()));
    w.text(info::layout, type.layout);
  }

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using channel = protocol::channel;
    if (interface == channel::id) {
      protocol::reader p(context.getParams());
      session_->urgent();
      switch (method) {
        case channel::info::method: {
          auto results = protocol::results_of<channel::info>(context, 64);
          write_info(results.get(protocol::pointer{0}), *served_);
          return protocol::done();
        }
        case channel::sender::method: {
          std::shared_ptr<intake_base> link;
          if (served_->sending) {
            link = served_->open_intake(session_, p.cap(channel::sender::credits),
                                        p.get(channel::sender::window));
          }
          auto results = protocol::results_of<channel::sender>(context, 32, 1);
          if (!link) return refuse(results.get(channel::sender::refused));
          results.set(channel::sender::grant_up_to, link->granted());
          results.set(channel::sender::bytes_up_to, link->granted_bytes());
          results.cap(channel::sender::sender_cap, kj::heap<sender_server>(std::move(link)));
          return protocol::done();
        }
        case channel::receiver::method: {
          std::shared_ptr<feed_base> link;
          if (!served_->sending) {
            link = served_->open_feed(session_, p.cap(channel::receiver::sink));
          }
          auto results = protocol::results_of<channel::receiver>(context, 32, 1);
          if (!link) return refuse(results.get(channel::receiver::refused));
          results.set(channel::receiver::granted_prefetch, link->prefetch());
          results.cap(channel::receiver::receiver_cap, kj::heap<receiver_server>(std::move(link)));
          return protocol::done();
        }
        default: break;
      }
    }
    return internalUnimplemented("strait.capnp:Channel", interface, method);
  }

 private:
  protocol::dispatched refuse(protocol::any::Builder p) {
    write_end(p, protocol::end::denied, "'" + served_->name + "' is not served that way any more");
    return protocol::done();
  }

  const std::shared_ptr<session> session_;
  const std::shared_ptr<served> served_;
};

class session_server final : public capnp::Capability::Server {
 public:
  session_server(std::shared_ptr<node_core> n, std::shared_ptr<session> s)
      : node_(std::move(n)), session_(std::move(s)) {}

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using ses = protocol::session;
    if (interface == ses::id) {
      protocol::reader p(context.getParams());
      session_->urgent();
      switch (method) {
        case ses::bind::method: bind(p, context); return protocol::done();
        case ses::ping::method:
          protocol::results_of<ses::ping>(context).set(ses::ping::nonce, p.get(ses::ping::nonce));
          return protocol::done();
        case ses::go_away::method:
          session_->peer_leaves();
          protocol::results_of<ses::go_away>(context);
          return protocol::done();
        default: break;
      }
    }
    return internalUnimplemented("strait.capnp:Session", interface, method);
  }

 private:
  void bind(const protocol::reader& p, protocol::call_context& context) {
    using method = protocol::session::bind;
    const std::string name = p.text(method::name);
    const std::uint8_t rights = p.get(method::rights);
    const std::string print =
        protocol::reader(p.get(method::want)).bytes(protocol::type_info::fingerprint);
    const std::string layout =
        protocol::reader(p.get(method::want)).text(protocol::type_info::layout);
    auto found = node_->find(name);
    auto results = protocol::results_of<method>(context, 128, 1);
    if (!found) {
      return write_end(results.get(method::refused), protocol::end::denied,
                       "no channel named '" + name + "' is served here");
    }
    if (found->sending != (rights == 1)) {
      return write_end(
          results.get(method::refused), protocol::end::denied,
          "'" + name + "' is served for " + (found->sending ? "sending" : "receiving") + " only");
    }
    const auto mine = found->type.fingerprint.bytes();
    const bool same = print.size() == mine.size() &&
                      std::equal(mine.begin(), mine.end(), print.begin(),
                                 [](auto a, char b) { return a == static_cast<unsigned char>(b); });
    if (!same && first_difference(layout, found->type.layout)) {
      protocol::writer w(results.get(method::refused), protocol::end::size);
      w.set(protocol::end::tag, protocol::end::mismatch);
      channel_server::write_type(w.get(protocol::end::content), found->type);
      return;
    }
    channel_server::write_info(results.get(method::info), *found);
    results.cap(method::chan, kj::heap<channel_server>(session_, std::move(found)));
  }

  const std::shared_ptr<node_core> node_;
  const std::shared_ptr<session> session_;
};

/// The bootstrap object, one a connection.
class hub_server final : public capnp::Capability::Server {
 public:
  using joined = std::function<void(std::string name)>;
  hub_server(std::shared_ptr<node_core> n, std::shared_ptr<session> s, joined fn)
      : node_(std::move(n)), session_(std::move(s)), joined_(std::move(fn)) {}

  protocol::dispatched dispatchCall(std::uint64_t interface, std::uint16_t method,
                                    protocol::call_context context) override {
    using open = protocol::hub::open;
    if (interface != protocol::hub::id || method != open::method || opened_) {
      return internalUnimplemented("strait.capnp:Hub", interface, method);
    }
    protocol::reader me(protocol::reader(context.getParams()).get(open::me));
    session_->urgent();
    auto results = protocol::results_of<open>(context, 64, 1);
    if (me.get(protocol::peer_info::protocol) != protocol::version) {
      write_end(results.get(open::refused), protocol::end::denied,
                "protocol version " + std::to_string(me.get(protocol::peer_info::protocol)) +
                    "; this node speaks " + std::to_string(protocol::version));
      return protocol::done();
    }
    opened_ = true;
    session_->connection().established();
    node_->write_info(results.get(open::home));
    results.cap(open::session, kj::heap<session_server>(node_, session_));
    joined_(me.text(protocol::peer_info::name).substr(0, 256));
    return protocol::done();
  }

 private:
  const std::shared_ptr<node_core> node_;
  const std::shared_ptr<session> session_;
  joined joined_;
  bool opened_ = false;
};

inline std::string peer_text(int fd) {
  sockaddr_storage s{};
  socklen_t size = sizeof s;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&s), &size) < 0) return "unknown";
  if (s.ss_family == AF_UNIX) return "unix";
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  ::getnameinfo(reinterpret_cast<sockaddr*>(&s), size, host.data(), host.size(), port.data(),
                port.size(), NI_NUMERICHOST | NI_NUMERICSERV);
  const bool six = s.ss_family == AF_INET6;
  return "tcp://" + (six ? "[" + std::string(host.data()) + "]" : std::string(host.data())) + ":" +
         port.data();
}

inline void node_core::accept(unique_fd fd) {
  if (closed_ || accepted_ >= options_.max_connections()) return;  // closes it
  ++accepted_;
  std::string from = peer_text(fd.get());
  auto s = make_session(from);
  auto self = shared_from_this();
  auto name = std::make_shared<std::string>();
  auto hub = kj::heap<hub_server>(self, s, [this, from, name](std::string n) {
    *name = std::move(n);
    ++counters_->connections;
    tell({peer_event::kind::joined, *name, from, {}});
  });
  std::weak_ptr<session> weak = s;
  auto p = peer::accept(*driver_, std::move(fd), options_of_peer(), kj::mv(hub),
                        [weak](const std::string& why) {
                          if (auto alive = weak.lock()) alive->went_down(why);
                        });
  s->start(std::move(p), [self, from, name, raw = s.get()](const std::string& why, bool in_order) {
    --self->accepted_;
    self->forget(raw);
    if (name->empty()) return;  // never opened
    --self->counters_->connections;
    self->tell({in_order ? peer_event::kind::left : peer_event::kind::died, *name, from,
                in_order ? std::string() : why});
  });
}

inline void node_core::connect_in_drive(address a, std::vector<endpoint> all, dial_options o,
                                        std::shared_ptr<session_reply> answer) {
  const std::string key = a.node();
  if (closed_) {
    return answer->fail(*driver_, std::make_exception_ptr(dial_error("strait: cannot connect to " +
                                                                     key + ": the node ended")));
  }
  auto& entry = dialled_[key];
  if (entry && entry->up) {
    if (entry->s->standing()) return answer->succeed(*driver_, entry->s);
    entry.reset();
  }
  if (entry) {
    entry->waiters.push_back(std::move(answer));
    return;
  }
  entry = std::make_shared<dialled>();
  entry->waiters.push_back(std::move(answer));
  auto self = shared_from_this();
  entry->connecting =
      std::make_unique<connector>(*driver_, std::move(a), std::move(all), o.timeout().count(),
                                  [self, key, o](unique_fd fd, std::string error) {
                                    if (!error.empty())
                                      return self->dial_failed(key, "strait: " + error);
                                    self->open_dialled(key, std::move(fd), o);
                                  });
}

inline void node_core::open_dialled(const std::string& key, unique_fd fd, dial_options o) {
  auto entry = dialled_[key];
  auto self = shared_from_this();
  auto s = make_session(key);
  entry->s = s;
  peer_options po = options_of_peer();
  po.handshake = o.timeout().count();
  std::weak_ptr<session> weak = s;
  auto p = peer::dial(*driver_, std::move(fd), po, [weak](const std::string& why) {
    if (auto alive = weak.lock()) alive->went_down(why);
  });
  s->start(std::move(p), [self, key, raw = s.get()](const std::string& why, bool) {
    self->forget(raw);
    auto at = self->dialled_.find(key);
    if (at == self->dialled_.end() || !at->second || at->second->s.get() != raw) return;
    if (at->second->up) {
      --self->counters_->connections;
      self->dialled_.erase(at);
    } else {
      self->dial_failed(key, "strait: cannot connect to " + key + ": " + why);
    }
  });
  using open = protocol::hub::open;
  auto boot = s->connection().bootstrap();
  auto request = protocol::make_request<protocol::hub, open>(boot, 64, 0, true);
  write_info(protocol::params_of<open>(request).get(open::me));
  s->urgent();
  s->call(kj::mv(request), [self, key, s](const protocol::reader& r) {
    auto at = self->dialled_.find(key);
    if (at == self->dialled_.end() || !at->second || at->second->s != s) return;
    if (!r.get(open::refused).isNull()) {
      std::string why = protocol::reader(r.get(open::refused)).text(protocol::end::content);
      s->abort("refused: " + why);
      return;
    }
    const auto home = protocol::reader(r.get(open::home));
    s->remote(r.cap(open::session));
    s->connection().heartbeat_at_most(nanos{home.get(protocol::peer_info::heartbeat_ms)} *
                                      1'000'000);
    s->connection().established(*s->remote());
    at->second->up = true;
    ++self->counters_->connections;
    auto waiters = std::move(at->second->waiters);
    for (auto& w : waiters) w->succeed(self->drv(), s);
  });
}

inline void node_core::dial_failed(const std::string& key, const std::string& why) {
  auto at = dialled_.find(key);
  if (at == dialled_.end() || !at->second) return;
  auto entry = std::move(at->second);
  dialled_.erase(at);
  for (auto& w : entry->waiters) w->fail(*driver_, std::make_exception_ptr(dial_error(why)));
  // The connector may be what called this: it dies after its own call.
  driver_->post([entry] { entry->connecting.reset(); });
}

inline void node_core::close_in_drive() {
  closed_ = true;
  listening_.clear();
  auto all = all_sessions();
  for (auto& s : all) {
    if (!s->standing()) continue;
    if (auto* const to = s->remote()) {
      using method = protocol::session::go_away;
      auto request = protocol::make_request<protocol::session, method>(*to);
      protocol::params_of<method>(request);
      s->call(kj::mv(request), [](const protocol::reader&) {});
    }
  }
  driver_->run_loop();
  for (auto& s : all) s->close();
  for (auto& [key, entry] : dialled_) {
    if (!entry) continue;
    for (auto& w : entry->waiters) {
      w->fail(*driver_, std::make_exception_ptr(
                            dial_error("strait: cannot connect to " + key + ": the node ended")));
    }
  }
  dialled_.clear();
}

}  // namespace strait::inline STRAIT_ABI::detail
