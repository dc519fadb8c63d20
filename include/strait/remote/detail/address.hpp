// Addresses of nodes and channels, and the sockets behind them.
//
//   tcp://HOST:PORT[/NAME]   HOST is a name, an IPv4 address or an IPv6 address in brackets
//   unix://PATH[#NAME]       PATH contains slashes, so the channel's name comes after a '#'
//
// NAME is a channel that the node serves. Every error is one line that names the address.
#pragma once

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <strait/remote/detail/reactor.hpp>

namespace strait::inline STRAIT_ABI::detail {

struct address {
  enum class family { tcp, unix_socket };

  family kind = family::tcp;
  std::string host;  ///< tcp: without brackets.
  std::uint16_t port = 0;
  std::string path;  ///< unix
  std::string name;  ///< The channel; may be empty.

  /// The node's part, without the channel.
  std::string node() const {
    if (kind == family::unix_socket) return "unix://" + path;
    bool six = host.find(':') != std::string::npos;
    return "tcp://" + (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }

  /// Throws std::invalid_argument with one line that says what is wrong with `text`.
  static address parse(std::string_view text) {
    auto refuse = [&](std::string_view what) {
      return std::invalid_argument("malformed address '" + std::string(text) +
                                   "': " + std::string(what));
    };
    for (char c : text) {
      if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
        throw refuse("it contains a space or a control character");
      }
    }
    address a;
    if (text.starts_with("unix://")) {
      a.kind = family::unix_socket;
      std::string_view rest = text.substr(7);
      std::size_t hash = rest.find('#');
      a.path = rest.substr(0, hash);
      if (a.path.empty()) throw refuse("no path after unix://");
      if (a.path.size() >= sizeof(sockaddr_un::sun_path)) {
        throw refuse("the path is longer than " +
                     std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes");
      }
      if (hash != std::string_view::npos) {
        a.name = rest.substr(hash + 1);
        if (a.name.empty()) throw refuse("no channel name after '#'");
      }
      return a;
    }
    if (!text.starts_with("tcp://")) throw refuse("it must start with tcp:// or unix://");
    std::string_view rest = text.substr(6);
    std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos) {
      a.name = rest.substr(slash + 1);
      if (a.name.empty()) throw refuse("no channel name after '/'");
      rest = rest.substr(0, slash);
    }
    std::size_t colon = rest.rfind(':');
    if (rest.starts_with('[')) {
      std::size_t close = rest.find(']');
      if (close == std::string_view::npos) throw refuse("no ']' after the IPv6 address");
      a.host = rest.substr(1, close - 1);
      in6_addr six;
      if (::inet_pton(AF_INET6, a.host.c_str(), &six) != 1) throw refuse("no IPv6 address in []");
      if (close + 1 >= rest.size() || rest[close + 1] != ':') throw refuse("no port");
      colon = close + 1;
    } else {
      if (colon == std::string_view::npos) throw refuse("no port");
      a.host = rest.substr(0, colon);
      if (a.host.empty()) throw refuse("no host");
      if (a.host.find(':') != std::string::npos) throw refuse("an IPv6 address must be in []");
    }
    std::string_view port = rest.substr(colon + 1);
    unsigned number = 0;
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (port.empty() || error != std::errc{} || end != port.data() + port.size() ||
        number > 65535) {
      throw refuse("'" + std::string(port) + "' is no port (0 to 65535)");
    }
    a.port = static_cast<std::uint16_t>(number);
    return a;
  }
};

/// An address as the kernel wants it.
struct endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }

  /// Whether only this machine can reach it.
  bool local() const {
    if (family() == AF_UNIX) return true;
    if (family() == AF_INET) {
      auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
      return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
    return IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
  }
};

[[noreturn]] inline void throw_address_error(const char* doing, const address& a,
                                             std::string_view why) {
  throw std::runtime_error(std::string("cannot ") + doing + " " + a.node() + ": " +
                           std::string(why));
}

inline std::string errno_text(int error) { return std::generic_category().message(error); }

/// The endpoints behind `a`. Blocks in the resolver when the host is a name, so never in a drive.
inline std::vector<endpoint> resolve(const address& a) {
  std::vector<endpoint> found;
  if (a.kind == address::family::unix_socket) {
    endpoint e;
    auto* un = reinterpret_cast<sockaddr_un*>(&e.storage);
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, a.path.data(), a.path.size());
    e.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + a.path.size() + 1);
    if (a.path[0] == '@') {  // Linux's abstract names
      un->sun_path[0] = '\0';
      --e.size;
    }
    found.push_back(e);
    return found;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int error = ::getaddrinfo(a.host.c_str(), std::to_string(a.port).c_str(), &hints, &list);
  if (error != 0) throw_address_error("resolve", a, ::gai_strerror(error));
  for (addrinfo* i = list; i; i = i->ai_next) {
    endpoint e;
    std::memcpy(&e.storage, i->ai_addr, i->ai_addrlen);
    e.size = i->ai_addrlen;
    found.push_back(e);
  }
  ::freeaddrinfo(list);
  return found;
}

/// Whether `resolve` answers at once.
inline bool numeric(const address& a) {
  if (a.kind == address::family::unix_socket) return true;
  in6_addr six;
  in_addr four;
  return ::inet_pton(AF_INET6, a.host.c_str(), &six) == 1 ||
         ::inet_pton(AF_INET, a.host.c_str(), &four) == 1;
}

inline unique_fd open_socket(const endpoint& e) {
  unique_fd fd(::socket(e.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int one = 1;
  if (fd && e.family() != AF_UNIX) {
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  return fd;
}

/// A listening socket on the first endpoint of `a` that works. A port of 0 is filled in.
inline unique_fd listen_on(address& a, const std::vector<endpoint>& endpoints, int backlog = 512) {
  int error = EADDRNOTAVAIL;
  for (const endpoint& e : endpoints) {
    unique_fd fd = open_socket(e);
    if (!fd) {
      error = errno;
      continue;
    }
    int one = 1;
    if (e.family() != AF_UNIX) {
      ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    }
    int result = ::bind(fd.get(), e.get(), e.size);
    if (result < 0 && errno == EADDRINUSE && e.family() == AF_UNIX && a.path[0] != '@') {
      // A socket file that nobody listens on any more is left by a process that was killed.
      unique_fd probe = open_socket(e);
      if (::connect(probe.get(), e.get(), e.size) < 0 && errno == ECONNREFUSED) {
        ::unlink(a.path.c_str());
        result = ::bind(fd.get(), e.get(), e.size);
      } else {
        errno = EADDRINUSE;
      }
    }
    if (result < 0 || ::listen(fd.get(), backlog) < 0) {
      error = errno;
      continue;
    }
    if (a.kind == address::family::tcp && a.port == 0) {
      sockaddr_storage s{};
      socklen_t size = sizeof s;
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&s), &size);
      a.port = ntohs(s.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(s).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(s).sin_port);
    }
    return fd;
  }
  throw_address_error("listen on", a, errno_text(error));
}

}  // namespace strait::inline STRAIT_ABI::detail
