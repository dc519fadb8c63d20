// test: serial
//
// A buffered channel between two processes and a reader that is slow: the sender is suspended, and
// neither process holds more than the capacity and the windows.
#include <strait/remote.hpp>
#include <strait/strait.hpp>

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "../local.hpp"
#include "far_process.hpp"

namespace remote_memory {  // g++ 12 warns of coroutine frames that hold types without linkage

struct blob {
  std::uint64_t id = 0;
  std::vector<char> bytes;
};
/// What the far process says of itself.
struct report {
  std::uint64_t done = 0;  // values sent, or received
  std::uint64_t held = 0;  // bytes allocated, above those at the start
  std::uint64_t peak = 0;  // most bytes resident, above those at the start
};

}  // namespace remote_memory

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using remote_memory::blob;
using remote_memory::report;
using strait_test::far_number;
using strait_test::far_process;
using strait_test::far_setting;

constexpr std::size_t blob_bytes = 64 << 10;
constexpr std::uint64_t capacity = 64;
constexpr std::uint64_t window_bytes = 4 << 20;  // what it may grow to: the default
constexpr std::uint64_t window_values = window_bytes / blob_bytes + 1;
// Four batches that are sent and not pushed yet, and one value in a goroutine's hand.
constexpr std::uint64_t ahead_values = 5;
constexpr std::uint64_t ahead_bytes = ahead_values * blob_bytes;
constexpr std::uint64_t buffers = 1 << 20;  // of sockets and messages

std::uint64_t kilobytes_of(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kb = 0;
    if (word == field + ":" && status >> kb) return kb * 1024;
  }
  return 0;
}

/// The memory of this process, above what it had when the object was made.
class memory {
 public:
  memory() : held_(allocated()) {
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak is counted anew
    peak_ = kilobytes_of("VmHWM");
  }
  std::uint64_t held() const { return allocated() - std::min(allocated(), held_); }
  /// Resident, with all that the allocator keeps for later.
  std::uint64_t peak() const { return kilobytes_of("VmHWM") - peak_; }

 private:
  static std::uint64_t allocated() {
    const auto all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
  }
  std::uint64_t held_, peak_ = 0;
};

/// `most` bytes may be held. A sanitizer's allocator tells nothing, and keeps what was freed.
void expect_within(const char* who, std::uint64_t held, std::uint64_t peak, std::uint64_t most) {
  std::cout << "  the " << who << " holds " << (held >> 10) << " KiB of at most " << (most >> 10)
            << "; at most " << (peak >> 10) << " KiB were resident\n";
  if (strait_test::sanitized()) return;
  EXPECT_LE(held, most) << who;
  EXPECT_LE(peak, 4 * (capacity * blob_bytes + window_bytes)) << who;
}

blob make_blob(std::uint64_t id) {
  return blob{id, std::vector<char>(blob_bytes, static_cast<char>('a' + id % 26))};
}
bool is_whole(const blob& b, std::uint64_t id) {
  return b.id == id && b.bytes.size() == blob_bytes &&
         std::all_of(b.bytes.begin(), b.bytes.end(),
                     [&](char c) { return c == static_cast<char>('a' + id % 26); });
}

/// Waits until `count` has stood still for a while: whoever moves it is suspended.
st::task<> stands_still(const std::atomic<std::uint64_t>& count) {
  std::uint64_t before = UINT64_MAX;
  for (int still = 0; still < 15; ++still) {
    if (count != before) still = 0;
    before = count;
    co_await st::sleep(20ms);
  }
}

// -- a slow reader at home
// -------------------------------------------------------------------------------

st::task<> far_sender() {
  memory mine;
  auto out = co_await st::dial<st::sender<blob>>(far_setting("HOME") + "/blobs");
  auto reports = co_await st::dial<st::sender<report>>(far_setting("HOME") + "/reports");
  const auto n = static_cast<std::uint64_t>(far_number("COUNT"));
  std::atomic<std::uint64_t> sent{0};
  auto watch = st::go([&]() -> st::task<> {
    while (sent < static_cast<std::uint64_t>(far_number("FAST"))) co_await st::sleep(1ms);
    co_await stands_still(sent);
    co_await reports.send(sent.load(), mine.held(), mine.peak());
  });
  for (; sent < n; ++sent) {
    blob next = make_blob(sent);
    co_await out.send(std::move(next));
  }
  co_await watch;
  co_await reports.send(sent.load(), mine.held(), mine.peak());
}
TEST(Far, DISABLED_Sender) { st::run(far_sender); }

st::task<> slow_home(std::uint64_t n) {
  const std::uint64_t fast = n / 4;  // read at once: the windows grow
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto blobs = st::make_chan<blob>(capacity);
  auto reports = st::make_chan<report>(4);
  node.serve("blobs", std::move(blobs.in));
  node.serve("reports", std::move(reports.in));
  memory mine;
  far_process far(
      "Sender",
      {{"HOME", node.address()}, {"COUNT", std::to_string(n)}, {"FAST", std::to_string(fast)}});
  std::uint64_t got = 0;
  const auto receive = [&]() -> st::task<> {
    auto b = co_await blobs.out.recv();
    EXPECT_TRUE(b && is_whole(*b, got)) << got;
    ++got;
  };
  while (got < fast) co_await receive();
  auto stopped = co_await reports.out.recv();  // nobody reads until the sender is suspended
  EXPECT_GE(stopped->done, fast + capacity);
  EXPECT_LE(stopped->done, fast + capacity + window_values + ahead_values);
  EXPECT_EQ(blobs.out.len(), capacity);
  const std::uint64_t held = mine.held();
  while (got < n) {
    co_await receive();
    if (got % 100 == 0) co_await st::sleep(5ms);  // a slow reader
  }
  auto last = co_await reports.out.recv();
  EXPECT_EQ(last->done, n);
  std::cout << (n * blob_bytes >> 20) << " MiB sent, suspended " << stopped->done - fast
            << " values ahead of the reader\n";
  expect_within("home", held, mine.peak(), capacity * blob_bytes + window_bytes + buffers);
  expect_within("sender", stopped->held, last->peak, window_bytes + ahead_bytes + buffers);
  auto status = [&] { return far.wait(); };
  const int ended = co_await st::blocking(status);
  EXPECT_EQ(ended, 0);
}

TEST(RemoteMemory, ASlowReaderSuspendsTheSenderOfAnotherProcess) {
  st::run(slow_home, std::max<std::uint64_t>(strait_test::scaled(4000), 600));
}

// -- a slow reader far away
// ------------------------------------------------------------------------------

st::task<> far_reader() {
  memory mine;
  auto in = co_await st::dial<st::receiver<blob>>(far_setting("HOME") + "/blobs");
  auto reports = co_await st::dial<st::sender<report>>(far_setting("HOME") + "/reports");
  auto go_on = co_await st::dial<st::receiver<bool>>(far_setting("HOME") + "/go_on");
  const auto fast = static_cast<std::uint64_t>(far_number("FAST"));
  std::uint64_t got = 0, held = 0;
  while (auto b = co_await in.recv()) {
    EXPECT_TRUE(is_whole(*b, got)) << got;
    if (++got == fast) {
      co_await go_on.recv();  // reads nothing until the home says so
      held = mine.held();
    }
    if (got > fast && got % 100 == 0) co_await st::sleep(5ms);
  }
  co_await reports.send(got, held, mine.peak());
}
TEST(Far, DISABLED_Reader) { st::run(far_reader); }

st::task<> home_of_a_slow_reader(std::uint64_t n) {
  const std::uint64_t fast = n / 4;
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto blobs = st::make_chan<blob>(capacity);
  auto reports = st::make_chan<report>(4);
  auto go_on = st::make_chan<bool>(1);
  node.serve("blobs", std::move(blobs.out));
  node.serve("reports", std::move(reports.in));
  node.serve("go_on", std::move(go_on.out));
  memory mine;
  far_process far("Reader", {{"HOME", node.address()}, {"FAST", std::to_string(fast)}});
  std::atomic<std::uint64_t> sent{0};
  auto sending = st::go([&]() -> st::task<> {
    for (; sent < n; ++sent) {
      blob next = make_blob(sent);
      co_await blobs.in.send(std::move(next));
    }
  });
  while (sent < fast) co_await st::sleep(1ms);
  co_await stands_still(sent);
  const std::uint64_t suspended = sent, held = mine.held();
  EXPECT_GE(suspended, fast + capacity);
  EXPECT_LE(suspended, fast + capacity + window_values + ahead_values);
  co_await go_on.in.send(true);
  co_await sending;
  blobs.in.close();
  auto last = co_await reports.out.recv();
  EXPECT_EQ(last->done, n);
  std::cout << (n * blob_bytes >> 20) << " MiB sent, suspended " << suspended - fast
            << " values ahead of the reader\n";
  // The home keeps what the reader has not settled.
  expect_within("home", held, mine.peak(), capacity * blob_bytes + window_bytes + buffers);
  EXPECT_TRUE(strait_test::sanitized() || held > capacity * blob_bytes);
  expect_within("reader", last->held, last->peak, window_bytes + buffers);
  auto status = [&] { return far.wait(); };
  const int ended = co_await st::blocking(status);
  EXPECT_EQ(ended, 0);
}

TEST(RemoteMemory, ASlowReaderInAnotherProcessSuspendsTheSender) {
  st::run(home_of_a_slow_reader, std::max<std::uint64_t>(strait_test::scaled(4000), 600));
}

}  // namespace
