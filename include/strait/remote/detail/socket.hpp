// Accepting and connecting, in the drive: non-blocking, with the address in every error.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <kj/async.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <strait/remote/detail/address.hpp>
#include <strait/remote/detail/driver.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Accepts connections for as long as it lives. Made and destroyed in a drive.
class listener final : public io_handler, public pollable {
 public:
  using accepted = std::function<void(unique_fd, bool local)>;

  listener(driver& d, unique_fd fd, accepted fn)
      : driver_(d), fd_(std::move(fd)), accepted_(std::move(fn)) {
    driver_.require_drive();
    slot_ = &driver_.io().acquire(*this);
    driver_.io().add(fd_.get(), *slot_, EPOLLIN);
    driver_.add_live(1);
  }
  ~listener() noexcept {
    driver_.require_drive();
    driver_.forget(*this);
    driver_.io().remove(fd_.get());
    driver_.io().release(*slot_);
    driver_.add_live(-1);
  }

  void on_io(std::uint32_t) override { poll_again(); }

  void poll_again() override {
    for (int i = 0; i < 16; ++i) {
      endpoint from;
      from.size = sizeof from.storage;
      int fd = ::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&from.storage), &from.size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        unique_fd own(fd);
        int one = 1;
        if (from.family() != AF_UNIX) {
          ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        }
        accepted_(std::move(own), from.local());
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // The edge is used up: ask again when descriptors may be free.
        retry_ = driver_.timer()
                     .afterDelay(100 * kj::MILLISECONDS)
                     .then([this] { driver_.want_poll(*this); })
                     .eagerlyEvaluate(nullptr);
        return;
      }
    }
    driver_.want_poll(*this);
  }

 private:
  driver& driver_;
  unique_fd fd_;
  accepted accepted_;
  io_slot* slot_ = nullptr;
  kj::Promise<void> retry_ = nullptr;
};

/// Connects to the first endpoint that answers. Made and destroyed in a drive; `done` is called
/// once, from a job, with a socket or a one-line error, and may destroy it.
class connector final : public io_handler {
 public:
  using done = std::function<void(unique_fd, std::string error)>;

  connector(driver& d, address a, std::vector<endpoint> endpoints, nanos timeout, done fn)
      : driver_(d), address_(std::move(a)), endpoints_(std::move(endpoints)), done_(std::move(fn)) {
    driver_.require_drive();
    slot_ = &driver_.io().acquire(*this);
    driver_.add_live(1);
    deadline_ = driver_.timer()
                    .afterDelay(timeout * kj::NANOSECONDS)
                    .then([this] { finish({}, "no answer in time"); })
                    .eagerlyEvaluate(nullptr);
    next();
  }
  ~connector() noexcept {
    driver_.require_drive();
    *alive_ = false;
    drop();
    driver_.io().release(*slot_);
    driver_.add_live(-1);
  }

  void on_io(std::uint32_t) override {
    if (!fd_) return;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) {
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      if (::getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &length) < 0) {
        return;  // a spurious event: not connected yet
      }
      driver_.io().remove(fd_.get());
      finish(std::move(fd_), {});
      return;
    }
    error_ = error;
    drop();
    next();
  }

 private:
  void drop() noexcept {
    if (!fd_) return;
    driver_.io().remove(fd_.get());
    fd_.reset();
  }

  void next() {
    while (index_ < endpoints_.size()) {
      const endpoint& e = endpoints_[index_++];
      fd_ = open_socket(e);
      if (!fd_) {
        error_ = errno;
        continue;
      }
      if (::connect(fd_.get(), e.get(), e.size) == 0) return finish(std::move(fd_), {});
      if (errno == EINPROGRESS) {
        driver_.io().add_write_once(fd_.get(), *slot_);
        return;
      }
      error_ = errno;
      fd_.reset();
    }
    finish({}, errno_text(error_));
  }

  void finish(unique_fd fd, std::string error) {
    if (std::exchange(finished_, true)) return;
    if (!error.empty()) error = "cannot connect to " + address_.node() + ": " + error;
    drop();
    driver_.post([this, alive = alive_, fd = std::move(fd), error = std::move(error)]() mutable {
      if (!*alive) return;
      auto fn = std::move(done_);
      fn(std::move(fd), std::move(error));
    });
  }

  driver& driver_;
  address address_;
  std::vector<endpoint> endpoints_;
  std::size_t index_ = 0;
  int error_ = EADDRNOTAVAIL;
  done done_;
  unique_fd fd_;
  io_slot* slot_ = nullptr;
  bool finished_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  kj::Promise<void> deadline_ = nullptr;
};

}  // namespace strait::inline STRAIT_ABI::detail
