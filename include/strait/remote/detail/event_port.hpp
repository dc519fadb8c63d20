// The KJ event loop's port: it has nothing to wait for.
//
// The loop is run by whichever worker drives (driver.hpp), through EventLoop::run() alone, so KJ
// never asks the port to sleep; a `wait` on a KJ promise anywhere would be a bug, and aborts.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <kj/async.h>

#include <cstdio>
#include <cstdlib>

namespace strait::inline STRAIT_ABI::detail {

class event_port final : public kj::EventPort {
 public:
  bool wait() override { refuse("wait"); }
  bool poll() override { return false; }
  void setRunnable(bool runnable) override { runnable_ = runnable; }
  void wake() const override { refuse("wake"); }

  bool runnable() const { return runnable_; }

 private:
  [[noreturn]] static void refuse(const char* what) {
    std::fprintf(stderr, "strait: EventPort::%s called: no KJ promise may be waited for\n", what);
    std::abort();
  }
  bool runnable_ = false;
};

}  // namespace strait::inline STRAIT_ABI::detail
