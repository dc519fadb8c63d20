// The epoll set in which every idle worker sleeps.
//
// Invariants
// - A descriptor is registered once, edge-triggered, with a slot. Slots are type-stable: their
//   memory lives as long as the set, so a worker may still mark one whose connection another worker
//   has just destroyed. Such a mark is a spurious event to the slot's next owner, who finds EAGAIN.
// - An event is stored (`bits |= event`, then the slot on the signalled stack) before its fetcher
//   tries the transport lock, so that an owner who is about to leave cannot miss it.
// - `bits != 0` means that the slot is on the stack, or that the owner who popped it has not read
//   the bits yet; either way they will be read. Whoever turns them from 0 pushes.
// - A wake is a token: each `wake` ends one `wait`, under way or next. An edge-triggered eventfd
//   gives its edge to one thread only, so whoever takes a token and leaves others passes it on, and
//   who meets the edge in passing (`poll`) gives it back. A sleeper looks for a token first.
//   Tokens beyond the number of sleepers (at least one) are dropped: one stale token ends one sleep
//   early, never more.
//
// Memory order: bits.fetch_or(release) / exchange(acquire) hand the event over; the stack's push is
// release, its pop acquire. Slots are popped all at once, so there is no ABA.
//
// Rejected: io_uring (no gain in latency; rings with SINGLE_ISSUER cannot change threads, plain
// ones complete on the submitting thread, which may be computing); level-triggered epoll (wakes
// every sleeper); a generation in each event instead of type-stable slots (needs a lookup).
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <deque>
#include <system_error>
#include <vector>

#include <strait/detail/config.hpp>
#include <strait/detail/poller.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// What a slot tells, under the transport lock.
struct io_handler {
  virtual void on_io(std::uint32_t bits) = 0;

 protected:
  ~io_handler() = default;
};

/// One registered descriptor.
struct io_slot {
  std::atomic<std::uint32_t> bits{0};
  io_slot* next = nullptr;        // of the signalled stack; its owner writes it
  io_handler* handler = nullptr;  // under the transport lock
};

/// A file descriptor that closes itself.
class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

class reactor {
 public:
  reactor()
      : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        event_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    epoll_event e{};
    e.events = EPOLLIN | EPOLLET;
    e.data.ptr = nullptr;
    checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event_.get(), &e), "epoll_ctl");
  }
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  // -- under the transport lock -------------------------------------------------------------------

  io_slot& acquire(io_handler& handler) {
    io_slot* slot;
    if (free_.empty()) {
      slot = &slots_.emplace_back();
      free_.reserve(slots_.size());  // so that release never allocates
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slot->handler = &handler;
    return *slot;
  }

  void release(io_slot& slot) noexcept {
    slot.handler = nullptr;
    free_.push_back(&slot);
  }

  void add(int fd, io_slot& slot, std::uint32_t events) {
    control(epoll_.get(), EPOLL_CTL_ADD, fd, slot, events | EPOLLET);
    if (second_) {
      // The kernel takes no EPOLLRDHUP here; the first set tells it.
      std::uint32_t exclusive = events & static_cast<std::uint32_t>(EPOLLIN);
      control(second_.get(), EPOLL_CTL_ADD, fd, slot, exclusive | EPOLLET | EPOLLEXCLUSIVE);
    }
  }

  /// One event when `fd` can be written to; `fd` must be in no other registration, hence a dup.
  void add_write_once(int fd, io_slot& slot) {
    control(epoll_.get(), EPOLL_CTL_ADD, fd, slot, EPOLLOUT | EPOLLET | EPOLLONESHOT);
  }
  void rearm_write_once(int fd, io_slot& slot) {
    control(epoll_.get(), EPOLL_CTL_MOD, fd, slot, EPOLLOUT | EPOLLET | EPOLLONESHOT);
  }

  /// Must come before the close: a dup elsewhere would keep the registration alive.
  void remove(int fd) noexcept {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    if (second_) ::epoll_ctl(second_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }

  /// The slots marked since the last call, last first; bits are exchanged to 0 by the caller.
  io_slot* take_signalled() noexcept {
    return signalled_.exchange(nullptr, std::memory_order_acquire);
  }

  // -- any thread ---------------------------------------------------------------------------------

  void signal(io_slot& slot, std::uint32_t bits) noexcept {
    if (slot.bits.fetch_or(bits, std::memory_order_acq_rel) != 0) return;
    io_slot* head = signalled_.load(std::memory_order_relaxed);
    do {
      slot.next = head;
    } while (!signalled_.compare_exchange_weak(head, &slot, std::memory_order_release,
                                               std::memory_order_relaxed));
  }

  bool signalled() const noexcept { return signalled_.load(std::memory_order_acquire) != nullptr; }

  /// Looks for events without sleeping. Returns whether a slot was marked. A wake that is not for
  /// this thread stays: its token, and if somebody sleeps, its edge.
  bool poll() noexcept {
    epoll_event events[64];
    int n = sleep(epoll_.get(), events, 64, 0);
    bool marked = false;
    for (int i = 0; i < n; ++i) {
      if (auto* slot = static_cast<io_slot*>(events[i].data.ptr)) {
        signal(*slot, events[i].events);
        marked = true;
      } else if (tokens_.load(std::memory_order_seq_cst) > 0 && sleepers() > 0) {
        ring();
      }
    }
    return marked;
  }

  /// Sleeps up to `timeout` nanoseconds (`never`: for ever), between `enter_sleep` and
  /// `leave_sleep`.
  void wait(nanos timeout) noexcept {
    if (take_token()) return;
    epoll_event events[64];
    int n = sleep(epoll_.get(), events, 64, timeout);
    for (int i = 0; i < n; ++i) {
      if (auto* slot = static_cast<io_slot*>(events[i].data.ptr)) {
        signal(*slot, events[i].events);
      } else {
        take_token();
      }
    }
  }

  void wake() noexcept {
    int most = std::max(1, sleepers_.load(std::memory_order_seq_cst));
    int have = tokens_.load(std::memory_order_relaxed);
    // A token that is already there must be rewritten, not just read: only a read-modify-write
    // makes sure that the sleeper who takes it sees what the caller did before this wake.
    while (!tokens_.compare_exchange_weak(have, have < most ? have + 1 : have,
                                          std::memory_order_seq_cst)) {
    }
    if (have < most) ring();
  }

  void enter_sleep() noexcept { sleepers_.fetch_add(1, std::memory_order_seq_cst); }
  void leave_sleep() noexcept { sleepers_.fetch_sub(1, std::memory_order_seq_cst); }
  int sleepers() const noexcept { return sleepers_.load(std::memory_order_seq_cst); }

  // -- the reserve thread's own view of the same sockets
  // -------------------------------------------

  /// Before any descriptor is added. EPOLLEXCLUSIVE: woken only if no worker sleeps in the first.
  void open_second() {
    second_.reset(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
    second_event_.reset(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = nullptr;
    checked(::epoll_ctl(second_.get(), EPOLL_CTL_ADD, second_event_.get(), &e), "epoll_ctl");
  }
  /// Sleeps in the second set; the events stay in the first. False: `stop_second` was called.
  bool wait_second(nanos timeout) noexcept {
    epoll_event events[16];
    int n = sleep(second_.get(), events, 16, timeout);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.ptr == nullptr) return false;
    }
    return true;
  }
  void stop_second() noexcept { ::eventfd_write(second_event_.get(), 1); }

  static int checked(int result, const char* call) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), call);
    return result;
  }

 private:
  static void control(int set, int op, int fd, io_slot& slot, std::uint32_t events) {
    epoll_event e{};
    e.events = events;
    e.data.ptr = &slot;
    checked(::epoll_ctl(set, op, fd, &e), "epoll_ctl");
  }

  static int sleep(int set, epoll_event* events, int most, nanos timeout) noexcept {
    if (timeout <= 0) return ::epoll_wait(set, events, most, 0);
    if (timeout == never) return ::epoll_wait(set, events, most, -1);
    timespec t{};
    t.tv_sec = static_cast<time_t>(timeout / 1'000'000'000);
    t.tv_nsec = static_cast<long>(timeout % 1'000'000'000);
    static std::atomic<bool> no_pwait2{false};  // kernels before 5.11
    if (!no_pwait2.load(std::memory_order_relaxed)) {
      int n = ::epoll_pwait2(set, events, most, &t, nullptr);
      if (n >= 0 || errno != ENOSYS) return n;
      no_pwait2.store(true, std::memory_order_relaxed);
    }
    nanos ms = std::min<nanos>((timeout + 999'999) / 1'000'000, 1'000'000'000);
    return ::epoll_wait(set, events, most, static_cast<int>(ms));
  }

  void ring() noexcept { ::eventfd_write(event_.get(), 1); }

  bool take_token() noexcept {
    int have = tokens_.load(std::memory_order_seq_cst);
    do {
      if (have == 0) return false;
    } while (!tokens_.compare_exchange_weak(have, have - 1, std::memory_order_seq_cst));
    if (have > 1) ring();
    return true;
  }

  unique_fd epoll_, event_, second_, second_event_;
  std::deque<io_slot> slots_;
  std::vector<io_slot*> free_;
  std::atomic<io_slot*> signalled_{nullptr};
  std::atomic<int> tokens_{0};
  std::atomic<int> sleepers_{0};
};

}  // namespace strait::inline STRAIT_ABI::detail
