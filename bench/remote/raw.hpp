// The floor of the remote suite: the same bytes over a raw blocking TCP socket on loopback.
#pragma once

#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "far.hpp"

namespace raw {

class connection {
 public:
  explicit connection(int fd) : fd_(fd) {
    const int on = 1;
    if (fd_ < 0 || ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("socket");
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { ::close(fd_); }

  static connection to(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in at = loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("connect");
    return connection(fd);
  }

  void write(const void* data, std::size_t n) {
    const char* p = static_cast<const char*>(data);
    while (n != 0) {
      const ssize_t done = ::send(fd_, p, n, MSG_NOSIGNAL);
      if (done <= 0) fail("send");
      p += done;
      n -= static_cast<std::size_t>(done);
    }
  }
  /// False at the end of the stream.
  bool read(void* data, std::size_t n) {
    const ssize_t done = ::recv(fd_, data, n, MSG_WAITALL);
    if (done < 0) fail("recv");
    return static_cast<std::size_t>(done) == n;
  }
  void end() { ::shutdown(fd_, SHUT_WR); }

  static sockaddr_in loopback(int port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    return at;
  }
  [[noreturn]] static void fail(const char* what) {
    throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  }

 private:
  int fd_;
};

/// A listening socket on a free port of loopback.
class listener {
 public:
  listener() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at = connection::loopback(0);
    socklen_t size = sizeof at;
    auto* const any = reinterpret_cast<sockaddr*>(&at);
    if (::bind(fd_, any, sizeof at) != 0 || ::listen(fd_, 1) != 0 ||
        ::getsockname(fd_, any, &size) != 0) {
      connection::fail("listen");
    }
    port_ = ntohs(at.sin_port);
  }
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;
  ~listener() { ::close(fd_); }
  int port() const noexcept { return port_; }
  connection accept() { return connection(::accept(fd_, nullptr, nullptr)); }

 private:
  int fd_, port_ = 0;
};

using frame = std::array<std::int64_t, 512>;

/// A count comes, so many values go, 512 a frame.
inline void far_int64(int port) {
  connection c = connection::to(port);
  for (std::int64_t n = 0; c.read(&n, sizeof n);) {
    frame values;
    for (std::int64_t i = 0; i < n; i += 512) {
      for (std::int64_t k = 0; k < 512; ++k) values[static_cast<std::size_t>(k)] = i + k;
      c.write(&values, sizeof values);
    }
  }
}
inline void near_int64(benchmark::State& state, std::int64_t n) {
  listener l;
  far::process other("raw_int64", std::to_string(l.port()), 1);
  {
    connection c = l.accept();
    for (auto _ : state) {
      c.write(&n, sizeof n);
      frame values;
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < n; i += 512) {
        if (!c.read(&values, sizeof values)) connection::fail("the far process ended");
        for (const std::int64_t v : values) sum += v;
      }
      if (sum != n * (n - 1) / 2) state.SkipWithError("values were lost");
    }
  }
}

inline void far_rtt(int port) {
  connection c = connection::to(port);
  for (std::int64_t v = 0; c.read(&v, sizeof v);) c.write(&v, sizeof v);
}
inline void near_rtt(benchmark::State& state, std::int64_t n) {
  listener l;
  far::process other("raw_rtt", std::to_string(l.port()), 1);
  {
    connection c = l.accept();
    for (auto _ : state) {
      for (std::int64_t i = 0; i < n; ++i) {
        std::int64_t v = i;
        c.write(&v, sizeof v);
        if (!c.read(&v, sizeof v) || v != i) connection::fail("the far process ended");
      }
    }
  }
}

}  // namespace raw
