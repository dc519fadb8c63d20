// How nodes, dials and served channels are set up, and what they tell of themselves.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <strait/error.hpp>

namespace strait::inline STRAIT_ABI {

/// A dial that came to nothing, or a listen: one line that names the address or the channel, and
/// what is wrong.
class dial_error : public channel_error {
 public:
  explicit dial_error(const std::string& what) : channel_error(channel_errc::refused, what) {}
};

/// How a node is set up: `node n(node_options().window(256).name("home"))`.
class node_options {
 public:
  node_options() = default;
  /// What it calls itself in its peers' events. Default: "host:pid".
  node_options& name(std::string n) {
    name_ = std::move(n);
    return *this;
  }
  /// Silence after which a sign of life is asked for, and after which a peer is dead.
  node_options& heartbeat(std::chrono::nanoseconds every, std::chrono::nanoseconds dead) {
    heartbeat_ = every;
    dead_ = dead;
    return *this;
  }
  /// How long a session survives its connection. Until sessions can be resumed: not at all.
  node_options& grace(std::chrono::nanoseconds d) {
    grace_ = d;
    return *this;
  }
  /// Values, and bytes, that a link may have under way at first; it grows up to `most`.
  node_options& window(std::uint32_t items, std::size_t bytes = 256 << 10) {
    window_ = items;
    window_bytes_ = bytes;
    return *this;
  }
  node_options& most_window(std::uint32_t items, std::size_t bytes = 4 << 20) {
    most_window_ = items;
    most_window_bytes_ = bytes;
    return *this;
  }
  /// The largest value, in bytes on the wire.
  node_options& max_item(std::size_t bytes) {
    max_item_ = bytes;
    return *this;
  }
  /// Connections that may be open at a time; more are refused.
  node_options& max_connections(std::size_t n) {
    max_connections_ = n;
    return *this;
  }
  /// Lets other machines connect, and connects to them, without encryption or proof of identity:
  /// whoever can reach the port can use the channels.
  node_options& insecure(bool yes = true) {
    insecure_ = yes;
    return *this;
  }

  const std::string& name() const noexcept { return name_; }
  std::chrono::nanoseconds heartbeat() const noexcept { return heartbeat_; }
  std::chrono::nanoseconds dead() const noexcept { return dead_; }
  std::chrono::nanoseconds grace() const noexcept { return grace_; }
  std::uint32_t window() const noexcept { return window_; }
  std::size_t window_bytes() const noexcept { return window_bytes_; }
  std::uint32_t most_window() const noexcept { return most_window_; }
  std::size_t most_window_bytes() const noexcept { return most_window_bytes_; }
  std::size_t max_item() const noexcept { return max_item_; }
  std::size_t max_connections() const noexcept { return max_connections_; }
  bool is_insecure() const noexcept { return insecure_; }

 private:
  std::string name_;
  std::chrono::nanoseconds heartbeat_ = std::chrono::seconds(1), dead_ = std::chrono::seconds(5),
                           grace_ = std::chrono::seconds(30);
  std::uint32_t window_ = 64, most_window_ = 65536;
  std::size_t window_bytes_ = 256 << 10, most_window_bytes_ = 4 << 20;
  std::size_t max_item_ = 1 << 20, max_connections_ = 1024;
  bool insecure_ = false;
};

/// How one end is dialled.
class dial_options {
 public:
  dial_options() = default;
  /// Time for connecting and for the home's answer.
  dial_options& timeout(std::chrono::nanoseconds d) {
    timeout_ = d;
    return *this;
  }
  /// How long the end survives a broken connection. Until sessions can be resumed: not at all.
  dial_options& grace(std::chrono::nanoseconds d) {
    grace_ = d;
    return *this;
  }
  /// A fixed window in values; 0: the node's, which grows.
  dial_options& window(std::uint32_t items) {
    window_ = items;
    return *this;
  }
  /// Allows an address beyond this machine without encryption or proof of identity.
  dial_options& insecure(bool yes = true) {
    insecure_ = yes;
    return *this;
  }

  std::chrono::nanoseconds timeout() const noexcept { return timeout_; }
  std::chrono::nanoseconds grace() const noexcept { return grace_; }
  std::uint32_t window() const noexcept { return window_; }
  bool is_insecure() const noexcept { return insecure_; }

 private:
  std::chrono::nanoseconds timeout_ = std::chrono::seconds(5), grace_ = std::chrono::seconds(30);
  std::uint32_t window_ = 0;
  bool insecure_ = false;
};

/// How a channel is served.
class serve_options {
 public:
  serve_options() = default;
  /// Several receivers are expected: none prefetches, from the first value on.
  serve_options& shared(bool yes = true) {
    shared_ = yes;
    return *this;
  }
  bool is_shared() const noexcept { return shared_; }

 private:
  bool shared_ = false;
};

/// A peer came or went.
struct peer_event {
  enum class kind : std::uint8_t {
    joined,
    left,  ///< In order: it said goodbye.
    died,  ///< Its connection broke, or it fell silent.
  };
  kind what = kind::joined;
  std::string name;     ///< What it calls itself.
  std::string address;  ///< Where it connected from.
  std::string why;      ///< For `died`: one line.
};

/// What a node has done so far.
struct node_stats {
  std::uint64_t values_in = 0, values_out = 0;
  std::uint64_t redelivered = 0;              ///< Values handed out again after they came back.
  std::uint64_t connections = 0;              ///< Open now.
  std::uint64_t bytes_in = 0, bytes_out = 0;  ///< Of connections that ended.
};

}  // namespace strait::inline STRAIT_ABI
