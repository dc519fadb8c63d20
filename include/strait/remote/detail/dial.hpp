// Dialling: connect, bind, and the two ends made from it.
#pragma once

#include <strait/remote/detail/hub.hpp>

#include <memory>
#include <string>
#include <utility>

namespace strait::inline STRAIT_ABI::detail {

/// What a home said when a channel was bound.
struct binding {
  std::uint32_t capacity = 0;
};
using binding_reply = reply<binding>;

/// One bind under way: two calls, the second in the pipeline of the first.
struct bind_call {
  std::shared_ptr<session> s;
  std::string address;  ///< For messages.
  std::string name;
  std::uint8_t rights;
  const type_info* type;
  std::shared_ptr<binding_reply> answer;
  nanos timeout;

  void fail(const std::string& why) const {
    answer->fail(*s->drv(), std::make_exception_ptr(dial_error("strait: " + address + ": " + why)));
  }

  std::string refusal(protocol::any::Reader p) const {
    protocol::reader end(p);
    if (end.get(protocol::end::tag) != protocol::end::mismatch) {
      return end.text(protocol::end::content);
    }
    protocol::reader theirs(end.get(protocol::end::content));
    const auto field = first_difference(type->layout, theirs.text(protocol::type_info::layout));
    return "the channel carries another type: " + field.value_or("(no difference found)");
  }

  /// In the drive. `bound(chan)` makes the second call.
  template <class Bound>
  void start(Bound bound) {
    using method = protocol::session::bind;
    if (!s->standing() || s->remote() == nullptr) return fail("the connection is lost");
    auto request = protocol::make_request<protocol::session, method>(
        *s->remote(), 64 + type->layout.size() / 8, 0, true);
    auto params = protocol::params_of<method>(request);
    params.text(method::name, name);
    params.set(method::rights, rights);
    channel_server::write_type(params.get(method::want), *type);
    s->urgent();
    s->call(
        kj::mv(request),
        [self = *this, bound = std::move(bound)](const protocol::reader& r) mutable {
          if (!r.get(method::refused).isNull()) {
            return self.fail(self.refusal(r.get(method::refused)));
          }
          binding b;
          b.capacity = protocol::reader(r.get(method::info)).get(protocol::chan_info::capacity);
          bound(r.cap(method::chan), b);
        },
        [self = *this](kj::Exception& e) { self.fail(e.getDescription().cStr()); });
    s->after(timeout, [self = *this] { self.fail("the home did not answer in time"); });
  }
};

/// Waits for a bind; if it fails, or the wait is cancelled, the link is abandoned.
template <class Link>
task<binding> bound(std::shared_ptr<session> s, std::shared_ptr<Link> link,
                    std::shared_ptr<binding_reply> answer) {
  try {
    co_await answer->wait();
    co_return answer->get();
  } catch (...) {
    s->drv()->post([link] { link->abandon(); });
    link->give_up();
    throw;
  }
}

template <class T>
task<sender<T>> dial_sender(std::shared_ptr<node_core> n, address a, std::string text,
                            dial_options o) {
  std::shared_ptr<session> s = co_await n->connect(a, o);
  auto made = outbox<T>::make(s, text);
  auto link = made.first;
  sender<T> handle = std::move(made.second);
  auto answer = std::make_shared<binding_reply>();
  bind_call call{s, text, a.name, 1, &type_info_of<T>(), answer, o.timeout().count()};
  s->drv()->post([call, link, window = o.window()]() mutable {
    call.s->add(link);
    if (!call.s->standing()) link->connection_down("the connection is lost");
    call.start([call, link, window](protocol::client chan, binding b) {
      using method = protocol::channel::sender;
      auto request = protocol::make_request<protocol::channel, method>(chan, 0, 1, true);
      auto params = protocol::params_of<method>(request);
      params.cap(method::credits, kj::heap<credit_server>(link));
      params.set(method::window, window);
      call.s->urgent();
      call.s->call(kj::mv(request), [call, link, b](const protocol::reader& r) {
        if (!r.get(method::refused).isNull()) {
          return call.fail(call.refusal(r.get(method::refused)));
        }
        link->bound(r.cap(method::sender_cap), r.get(method::grant_up_to),
                    r.get(method::bytes_up_to));
        call.answer->succeed(*call.s->drv(), b);
      });
    });
  });
  binding b = co_await bound(s, link, answer);
  link->start(b.capacity);
  co_return handle;
}

template <class T>
task<receiver<T>> dial_receiver(std::shared_ptr<node_core> n, address a, std::string text,
                                dial_options o) {
  std::shared_ptr<session> s = co_await n->connect(a, o);
  auto made = inbox<T>::make(s, text);
  auto link = made.first;
  receiver<T> handle = std::move(made.second);
  auto answer = std::make_shared<binding_reply>();
  bind_call call{s, text, a.name, 2, &type_info_of<T>(), answer, o.timeout().count()};
  s->drv()->post([call, link, window = o.window()]() mutable {
    call.s->add(link);
    if (!call.s->standing()) link->connection_down("the connection is lost");
    call.start([call, link, window](protocol::client chan, binding b) {
      using method = protocol::channel::receiver;
      auto request = protocol::make_request<protocol::channel, method>(chan, 0, 1, true);
      auto params = protocol::params_of<method>(request);
      params.cap(method::sink, kj::heap<sink_server>(link));
      params.set(method::prefetch, window);
      call.s->urgent();
      call.s->call(kj::mv(request), [call, link, b](const protocol::reader& r) {
        if (!r.get(method::refused).isNull()) {
          return call.fail(call.refusal(r.get(method::refused)));
        }
        link->bound(r.cap(method::receiver_cap), r.get(method::granted_prefetch));
        call.answer->succeed(*call.s->drv(), b);
      });
    });
  });
  binding b = co_await bound(s, link, answer);
  link->start(b.capacity);
  co_return handle;
}

template <class End>
struct dialler {
  static_assert(
      sizeof(End*) == 0,
      "strait: dial one end of a channel: dial<sender<T>>(...) or dial<receiver<T>>(...)");
};
template <class T>
struct dialler<sender<T>> {
  static task<sender<T>> dial(std::shared_ptr<node_core> n, address a, std::string text,
                              dial_options o) {
    return dial_sender<T>(std::move(n), std::move(a), std::move(text), o);
  }
};
template <class T>
struct dialler<receiver<T>> {
  static task<receiver<T>> dial(std::shared_ptr<node_core> n, address a, std::string text,
                                dial_options o) {
    return dial_receiver<T>(std::move(n), std::move(a), std::move(text), o);
  }
};

template <class End>
task<End> dial_end(std::shared_ptr<node_core> n, std::string text, dial_options o) {
  address a = node_core::parse(text);
  if (a.name.empty()) {
    throw dial_error("strait: malformed address '" + text + "': it names no channel");
  }
  co_return co_await dialler<End>::dial(std::move(n), std::move(a), std::move(text), o);
}

/// The node of a process that only dials; made at the first dial.
inline std::shared_ptr<node_core> default_node(scheduler& s) {
  static const char tag = 0;
  {
    std::lock_guard hold(s.services_lock);
    for (auto& [key, value] : s.locals) {
      if (key == &tag) return std::static_pointer_cast<node_core>(value);
    }
  }
  auto core = node_core::make(s, {});
  std::lock_guard hold(s.services_lock);
  for (auto& [key, value] : s.locals) {  // somebody else was faster; ours serves nobody
    if (key == &tag) return std::static_pointer_cast<node_core>(value);
  }
  s.locals.emplace_back(&tag, core);
  return core;
}

}  // namespace strait::inline STRAIT_ABI::detail
