// Nodes: a process's place in the network. `serve` offers channels, `dial` reaches them.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <strait/remote/detail/dial.hpp>
#include <strait/remote/options.hpp>

namespace strait::inline STRAIT_ABI {

/// A node: it listens, serves channels of this process by name, and counts. A process needs one
/// only to be reached; `dial` has a node of its own. Make it inside `run`. When the last handle
/// goes, the node stops listening and serving; what is under way through it is still flushed by the
/// end of `run`.
///
/// Whatever is served is open to everybody who can connect: an address beyond this machine must be
/// allowed with `insecure()` until there is encryption.
class node {
 public:
  /// Throws `misuse` outside a runtime.
  explicit node(node_options options = {})
      : core_(detail::node_core::make(*detail::here().sched, std::move(options))) {}
  node(node&&) noexcept = default;
  node& operator=(node&&) noexcept = default;
  ~node() {
    if (core_) core_->close();
  }

  /// Listens on `tcp://HOST:PORT` (port 0: any free one) or `unix://PATH`. Suspends only to resolve
  /// a host name. Throws `dial_error`, one line naming the address: malformed, in use, not local
  /// without `insecure`.
  task<> listen(std::string address, bool insecure = false) {
    return core_->listen(std::move(address), insecure);
  }
  /// Where it listens, with the port filled in; empty before.
  std::string address() const { return core_->local_address(); }

  /// Lets remote ends receive from the channel of `rx`, under `name`. The registration counts as a
  /// receiver. Several remote receivers share the values: a lone one prefetches, from the second on
  /// each is given a value when it waits for one. What a receiver has taken and not acked, or not
  /// taken yet, returns to the front of the channel the moment its connection breaks. Throws
  /// `dial_error` if the name is taken or the channel has no buffer.
  template <class T>
  void serve(std::string name, receiver<T> rx, serve_options options = {}) {
    if (!rx) throw misuse("serve of a nil channel");
    core_->serve(std::make_shared<detail::served_receiver<T>>(std::move(name), std::move(rx),
                                                              options.is_shared()));
  }
  /// Lets remote ends send into the channel of `tx`, under `name`. The registration counts as a
  /// sender: the channel closes by count only after `unserve`. A remote sender that is lost makes
  /// the channel end as `lost`, once the others have left.
  template <class T>
  void serve(std::string name, sender<T> tx, serve_options = {}) {
    if (!tx) throw misuse("serve of a nil channel");
    core_->serve(std::make_shared<detail::served_sender<T>>(std::move(name), std::move(tx)));
  }
  /// Both directions in one call are two names.
  template <class T>
  void serve(std::string, chan<T>, serve_options = {}) {
    static_assert(sizeof(chan<T>) == 0,
                  "strait: serve one end of a channel under a name: serve(name, receiver<T>(c)), "
                  "from which others receive, or serve(name, sender<T>(c))");
  }

  /// Ends a registration; ends that are bound stay. False if there was none.
  bool unserve(const std::string& name) { return core_->unserve(name); }

  /// Peers that connect to this node and leave it, from the first call on. If nobody receives them,
  /// events beyond some thousands are dropped.
  receiver<peer_event> events() { return core_->events(); }
  node_stats stats() const noexcept { return core_->stats(); }

  /// Dials through this node; see `st::dial`.
  template <class End>
  task<End> dial(std::string address, dial_options options = {}) {
    return detail::dial_end<End>(core_, std::move(address), options);
  }

 private:
  std::shared_ptr<detail::node_core> core_;
};

/// Reaches a served channel: `co_await dial<receiver<job>>("tcp://10.0.0.7:7070/jobs")`, or
/// `sender<job>`; `unix://PATH#NAME` for a Unix socket. The result is used as any channel end.
/// Dials to one address share one connection.
///
/// A dialled sender: `send` suspends while the home grants no room; `flush` waits until the home
/// has queued what was sent; the channel that it sends into closes by a `close` here, or counts one
/// sender less when the last copy goes. A dialled receiver: see `node::serve`. If the connection
/// breaks, or the home falls silent for 5 s, operations throw `lost` (a receiver's after draining).
///
/// Suspends until the home has answered; may be cancelled. Throws `dial_error`, one line naming the
/// thing: malformed address, nobody listening, no such channel, wrong direction, a type that
/// differs (with its first difference), no answer in time.
template <class End>
task<End> dial(std::string address, dial_options options = {}) {
  return detail::dial_end<End>(detail::default_node(*detail::here().sched), std::move(address),
                               options);
}

}  // namespace strait::inline STRAIT_ABI
