// A connected socket as a stream of Cap'n Proto messages: buffered, non-blocking, checked.
//
// It implements capnp::MessageStream, not kj::AsyncIoStream: a frame that is in the buffer is given
// to the RPC system as a promise that is already fulfilled, where an AsyncIoStream costs 0.9.2 a
// chain of three reads a message; and the frame check has the whole header in its hands.
//
// Invariants
// - Input: one `recv` fills the buffer with as many frames as there are; a short read means drained
//   (edge-triggered: the next packet is a new event), unless the end was told already, which may
//   come in one event with the last bytes. A frame's header is checked before anything is allocated
//   for it, and Cap'n Proto sees whole frames only. The rest of a frame that the buffer does not
//   hold whole goes straight from the socket into the frame's own array.
// - Output: messages are appended, to chunks that are never copied, and go with one call at the end
//   of the drive (`flush`), or, if nobody waits for them (Return, Finish: *lazy*), with the next
//   that is urgent or when the worker goes idle. EPOLLOUT is armed after EAGAIN only, one-shot, on
//   a dup of the socket: an exclusive registration cannot be changed, and a permanent EPOLLOUT
//   wakes at each read of the peer.
// - One pass takes one buffer: a peer that floods cannot hold the drive.
// - The first thing that goes wrong is kept as one line (`why`); everything later fails with it.
//
// All of it under the transport lock.
#pragma once

#include <strait/remote/detail/capnp_compat.hpp>

#include <capnp/serialize-async.h>
#include <kj/async.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <strait/remote/detail/driver.hpp>
#include <strait/remote/detail/frame_reader.hpp>

namespace strait::inline STRAIT_ABI::detail {

class frame_stream final : public capnp::MessageStream,
                           public io_handler,
                           public flushable,
                           public pollable {
 public:
  using maybe_frame = kj::Maybe<capnp::MessageReaderAndFds>;

  frame_stream(driver& d, unique_fd fd, frame_limits limits, int window)
      : driver_(d), fd_(std::move(fd)), limits_(limits), window_(window) {
    driver_.require_drive();
    buffer_.reset(new std::byte[first_buffer]);
    room_ = first_buffer;
    heard_ = driver_.now();
    slot_ = &driver_.io().acquire(*this);
    try {
      driver_.io().add(fd_.get(), *slot_, EPOLLIN | EPOLLRDHUP);
    } catch (...) {
      driver_.io().release(*slot_);
      throw;
    }
  }

  ~frame_stream() noexcept {
    driver_.require_drive();
    driver_.forget(static_cast<flushable&>(*this));
    driver_.forget(static_cast<pollable&>(*this));
    driver_.io().remove(fd_.get());
    driver_.io().release(*slot_);
    if (write_slot_) {
      driver_.io().remove(write_fd_.get());
      driver_.io().release(*write_slot_);
    }
  }

  /// What is written until the end of this drive, and before it, goes out at its end.
  void urgent() noexcept { urgent_ = true; }

  void raise_limit(std::size_t words) noexcept { limits_.words = words; }

  /// Ends the connection at once, both ways; reads and writes fail with `why` from now on.
  void abort(std::string why) {
    fail(std::move(why));
    ::shutdown(fd_.get(), SHUT_RDWR);
  }

  /// Sends what is written, as far as the socket takes it, and then ends as `abort` does.
  void close_in_order(std::string why) {
    send_pending();
    ::shutdown(fd_.get(), SHUT_WR);
    fail(std::move(why));
  }

  /// Why it ended; empty while it stands.
  const std::string& why() const noexcept { return why_; }
  bool ended() const noexcept { return ended_ || !why_.empty(); }

  /// When the last byte came in, on the driver's clock.
  nanos heard() const noexcept { return heard_; }
  std::uint64_t bytes_in() const noexcept { return bytes_in_; }
  std::uint64_t bytes_out() const noexcept { return bytes_out_; }
  std::size_t unsent() const noexcept { return unsent_; }

  // -- capnp::MessageStream -----------------------------------------------------------------------

  kj::Promise<maybe_frame> tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions,
                                          kj::ArrayPtr<capnp::word>) override {
    if (prepare()) return take();
    // A promise of nothing, and then the frame: g++ 12 takes KJ's own promise of a Maybe for
    // uninitialised.
    auto paf = kj::newPromiseAndFulfiller<void>();
    reader_ = kj::mv(paf.fulfiller);
    if (readable_) driver_.want_poll(*this);
    return paf.promise.then([this] { return take(); });
  }

  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int>,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    if (!why_.empty()) return disconnected();
    append(segments);
    return kj::READY_NOW;
  }

  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    if (!why_.empty()) return disconnected();
    for (auto& segments : messages) append(segments);
    return kj::READY_NOW;
  }

  kj::Maybe<int> getSendBufferSize() override { return window_; }

  kj::Promise<void> end() override {
    send_pending();
    ::shutdown(fd_.get(), SHUT_WR);
    return kj::READY_NOW;
  }

  // -- the drive's side ---------------------------------------------------------------------------

  void on_io(std::uint32_t bits) override {
    if (bits & EPOLLOUT) {
      write_blocked_ = false;
      if (unsent() > 0) send_pending();
    }
    if (bits & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
      if (bits & ~static_cast<std::uint32_t>(EPOLLIN | EPOLLOUT)) hung_up_ = true;
      readable_ = true;
      poll_again();
    }
  }

  void poll_again() override {
    // A reader that is not waiting is over its flow limit: then the kernel holds the peer back.
    if (!readable_ || ended() || reader_.get() == nullptr) return;
    receive();
    deliver();
  }

  bool flush(bool idle) override {
    if (unsent() == 0 || write_blocked_ || !why_.empty()) return true;
    if (!urgent_ && !idle && unsent() < coalesce) return false;
    send_pending();
    return true;
  }

 private:
  static constexpr std::size_t first_buffer = 16 << 10;
  static constexpr std::size_t most_buffer = 256 << 10;
  static constexpr std::size_t coalesce = 64 << 10;
  static constexpr std::size_t send_at_once = 256 << 10;
  static constexpr std::size_t chunk_bytes = 128 << 10;

  kj::Exception disconnected() const {
    return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                         kj::heapString(why_.c_str(), why_.size()));
  }

  /// Whether a reader has something to take: a frame, the end, or what went wrong.
  bool prepare() {
    if (frame_.get() == nullptr) frame_ = next_frame();
    if (frame_.get() != nullptr) return true;
    if (ended_) check_end();
    return ended_ || !why_.empty();
  }

  maybe_frame take() {
    if (frame_.get() != nullptr) return capnp::MessageReaderAndFds{kj::mv(frame_), nullptr};
    if (!why_.empty()) kj::throwFatalException(disconnected());
    return nullptr;
  }

  void fail(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    readable_ = false;
    out_.clear();
    sent_ = unsent_ = 0;
    if (reader_.get() != nullptr) {
      auto reader = kj::mv(reader_);
      reader->fulfill();  // and finds `why_`
    }
  }

  void fail_errno(const char* doing) {
    fail(std::string(doing) + ": " + std::generic_category().message(errno));
  }

  // -- input --------------------------------------------------------------------------------------

  void receive() {
    if (head_ == tail_) head_ = tail_ = 0;
    if (tail_ == room_) make_room();
    iovec parts[2];
    int n = 0;
    std::size_t want = 0;
    if (partial_ != nullptr) {
      parts[n++] = {partial_.asBytes().begin() + filled_, partial_bytes() - filled_};
      want += partial_bytes() - filled_;
    }
    parts[n++] = {buffer_.get() + tail_, room_ - tail_};
    want += room_ - tail_;
    ssize_t got = ::readv(fd_.get(), parts, n);
    if (got < 0) {
      if (errno == EINTR) return driver_.want_poll(*this);
      readable_ = false;
      if (errno != EAGAIN && errno != EWOULDBLOCK) fail_errno("connection lost");
      return;
    }
    if (got == 0) {
      readable_ = false;
      ended_ = true;
      return;
    }
    auto bytes = static_cast<std::size_t>(got);
    bytes_in_ += bytes;
    heard_ = driver_.turn_time();
    if (partial_ != nullptr) {
      std::size_t here = std::min(bytes, partial_bytes() - filled_);
      filled_ += here;
      tail_ += bytes - here;
    } else {
      tail_ += bytes;
    }
    if (bytes == want) {
      if (room_ < most_buffer) grow_ = true;
      driver_.want_poll(*this);
    } else if (hung_up_) {
      driver_.want_poll(*this);  // the end was told together with these bytes: no event follows
    } else {
      readable_ = false;
    }
  }

  /// The buffer is full to its end; what is left in it is less than one header.
  void make_room() {
    std::size_t left = tail_ - head_;
    std::size_t size = grow_ ? std::min(room_ * 4, most_buffer) : room_;
    std::unique_ptr<std::byte[]> bigger;
    std::byte* to = buffer_.get();
    if (size > room_) {
      bigger.reset(new std::byte[size]);
      to = bigger.get();
      room_ = size;
    }
    std::memmove(to, buffer_.get() + head_, left);
    if (bigger) buffer_ = std::move(bigger);
    head_ = 0;
    tail_ = left;
    grow_ = false;
  }

  void deliver() {
    if (reader_.get() == nullptr || !prepare()) return;
    auto reader = kj::mv(reader_);
    if (reader.get() != nullptr) reader->fulfill();
  }

  void check_end() {
    if (partial_ == nullptr && head_ == tail_) return;
    fail("connection lost: the peer closed it in the middle of a message");
  }

  std::size_t partial_bytes() const { return partial_.size() * sizeof(capnp::word); }

  kj::Own<capnp::MessageReader> make_reader(kj::Array<capnp::word> words) {
    capnp::ReaderOptions options;
    options.traversalLimitInWords =
        std::max<std::uint64_t>(words.size() * limits_.traversal_factor, 64);
    options.nestingLimit = limits_.nesting;
    return kj::heap<frame_reader>(options, kj::mv(words), sizes_);
  }

  /// The next whole frame, or null. A frame that must not be read fails the stream.
  kj::Own<capnp::MessageReader> next_frame() {
    if (partial_ != nullptr) {
      if (filled_ < partial_bytes()) return {};
      filled_ = 0;
      return make_reader(kj::mv(partial_));
    }
    std::size_t available = tail_ - head_;
    if (available < 4) return {};
    const std::byte* at = buffer_.get() + head_;
    std::uint32_t last_segment = word32(at);
    if (last_segment >= limits_.segments) {
      refuse("a frame of " +
             (last_segment == 0xffffffffU ? "4294967296" : std::to_string(last_segment + 1)) +
             " segments; the limit is " + std::to_string(limits_.segments));
      return {};
    }
    std::size_t header = (4 + 4 * (std::size_t{last_segment} + 1) + 7) / 8 * 8;
    if (available < header) return {};
    sizes_.resize(last_segment + 1);
    std::uint64_t words = 0;
    for (std::size_t i = 0; i <= last_segment; ++i) {
      sizes_[i] = word32(at + 4 + 4 * i);
      words += sizes_[i];
    }
    if (words > limits_.words) {
      refuse("a frame of " + std::to_string(words * 8) + " bytes; the limit is " +
             std::to_string(limits_.words * 8));
      return {};
    }
    auto body = static_cast<std::size_t>(words);
    auto array = kj::heapArray<capnp::word>(body);
    std::size_t here = std::min(available - header, body * 8);
    if (here > 0) std::memcpy(array.begin(), at + header, here);
    head_ += header + here;
    if (here < body * 8) {
      partial_ = kj::mv(array);
      filled_ = here;
      return {};
    }
    return make_reader(kj::mv(array));
  }

  static std::uint32_t word32(const std::byte* at) {
    return static_cast<std::uint32_t>(at[0]) | static_cast<std::uint32_t>(at[1]) << 8 |
           static_cast<std::uint32_t>(at[2]) << 16 | static_cast<std::uint32_t>(at[3]) << 24;
  }

  void refuse(std::string what) {
    abort("refused: the peer sent " + std::move(what));
    head_ = tail_ = 0;
  }

  // -- output -------------------------------------------------------------------------------------

  void append(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
    const std::size_t header = (4 + 4 * segments.size() + 7) / 8 * 8;
    std::size_t total = header;
    for (auto& segment : segments) total += segment.size() * sizeof(capnp::word);
    std::vector<std::byte>& to = chunk_for(total);
    const std::size_t at = to.size();
    to.resize(at + header);
    store32(&to[at], static_cast<std::uint32_t>(segments.size() - 1));
    for (std::size_t i = 0; i < segments.size(); ++i) {
      store32(&to[at + 4 + 4 * i], static_cast<std::uint32_t>(segments[i].size()));
    }
    for (auto& segment : segments) {
      auto bytes = segment.asBytes();
      auto* from = reinterpret_cast<const std::byte*>(bytes.begin());
      to.insert(to.end(), from, from + bytes.size());
    }
    unsent_ += total;
    if (unsent() >= send_at_once && !write_blocked_) {
      send_pending();
    } else {
      driver_.want_flush(*this);
    }
  }

  /// The last chunk if it has room for so many bytes, or else a new one that has.
  std::vector<std::byte>& chunk_for(std::size_t bytes) {
    if (out_.empty() || out_.back().capacity() - out_.back().size() < bytes) {
      out_.push_back(std::move(spare_));
      spare_ = {};
      out_.back().reserve(std::max(bytes, chunk_bytes));
    }
    return out_.back();
  }

  static void store32(std::byte* at, std::uint32_t v) {
    for (unsigned i = 0; i < 4; ++i) at[i] = static_cast<std::byte>(v >> (8 * i));
  }

  void send_pending() {
    while (unsent() > 0 && why_.empty()) {
      iovec parts[16];
      std::size_t n = 0;
      for (auto& chunk : out_) {
        const std::size_t skip = n == 0 ? sent_ : 0;
        parts[n++] = {chunk.data() + skip, chunk.size() - skip};
        if (n == std::size(parts)) break;
      }
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = n;
      const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        took(static_cast<std::size_t>(sent));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return wait_writable();
      return fail_errno("connection lost");
    }
    urgent_ = false;
  }

  /// The socket took so many bytes: what they were in is done with, but for one chunk to use again.
  void took(std::size_t bytes) {
    bytes_out_ += bytes;
    unsent_ -= bytes;
    sent_ += bytes;
    while (!out_.empty() && sent_ >= out_.front().size()) {
      sent_ -= out_.front().size();
      if (out_.front().capacity() == chunk_bytes) {
        spare_ = std::move(out_.front());
        spare_.clear();
      }
      out_.pop_front();
    }
  }

  void wait_writable() {
    write_blocked_ = true;
    if (write_slot_) {
      driver_.io().rearm_write_once(write_fd_.get(), *write_slot_);
      return;
    }
    write_fd_.reset(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
    if (!write_fd_) return fail_errno("connection lost");
    write_slot_ = &driver_.io().acquire(*this);
    driver_.io().add_write_once(write_fd_.get(), *write_slot_);
  }

  driver& driver_;
  unique_fd fd_, write_fd_;
  io_slot* slot_ = nullptr;
  io_slot* write_slot_ = nullptr;
  frame_limits limits_;
  int window_;

  std::unique_ptr<std::byte[]> buffer_;
  std::size_t room_ = 0, head_ = 0, tail_ = 0;
  bool readable_ = false;  ///< The socket may have more.
  bool hung_up_ = false;
  bool ended_ = false;
  bool grow_ = false;
  kj::Array<capnp::word> partial_;  ///< A frame that is longer than what the buffer held of it.
  std::size_t filled_ = 0;
  std::vector<std::uint32_t> sizes_;            ///< Segments of the frame being read.
  kj::Own<kj::PromiseFulfiller<void>> reader_;  ///< Waits for `prepare`.
  kj::Own<capnp::MessageReader> frame_;         ///< The next one, whole.

  std::deque<std::vector<std::byte>> out_;
  std::size_t sent_ = 0;    ///< Of the first chunk.
  std::size_t unsent_ = 0;  ///< Of all of them.
  std::vector<std::byte> spare_;
  bool urgent_ = false;
  bool write_blocked_ = false;

  std::string why_;
  nanos heard_ = 0;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;
};

}  // namespace strait::inline STRAIT_ABI::detail
