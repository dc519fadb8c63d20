// Channels across processes: serve and dial, credits, ends, errors, redelivery.
#include <strait/remote.hpp>
#include <strait/strait.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "../local.hpp"
#include "far_process.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::far_number;
using strait_test::far_process;
using strait_test::far_setting;
using strait_test::run_on;
using strait_test::scaled;

struct job {
  std::uint64_t id = 0;
  std::string text;
};
struct result {
  std::uint64_t id = 0;
  std::uint32_t length = 0;
  std::uint32_t worker = 0;
};

template <class T>
std::string message_of(T&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing thrown";
}

/// What `co_await dial<End>(address)` throws.
template <class End>
st::task<std::string> dial_message(std::string address) {
  try {
    End end = co_await st::dial<End>(address);
  } catch (const st::dial_error& e) {
    co_return e.what();
  }
  co_return "nothing thrown";
}

std::string socket_path(const char* name) {
  return (std::filesystem::temp_directory_path() /
          ("strait-" + std::string(name) + "-" + std::to_string(::getpid()) + ".sock"))
      .string();
}

// -- the far sides
// --------------------------------------------------------------------------------------

st::task<> worker(st::receiver<job> jobs, st::sender<result> out, std::uint32_t me) {
  while (auto j = co_await jobs.take()) {
    result r{j->id, static_cast<std::uint32_t>(j->text.size()), me};
    co_await out.send(r);
    co_await out.flush();
    j.ack();
  }
}

st::task<> far_worker() {
  const std::string home = far_setting("HOME");
  auto jobs = co_await st::dial<st::receiver<job>>(home + "/jobs");
  auto out = co_await st::dial<st::sender<result>>(home + "/results");
  co_await worker(std::move(jobs), std::move(out), static_cast<std::uint32_t>(far_number("ME")));
}

st::task<> far_sender() {  // COUNT numbers, then leaves; with CLOSE set it closes the channel
  auto out = co_await st::dial<st::sender<std::int64_t>>(far_setting("HOME"));
  for (std::int64_t i = 0; i < far_number("COUNT"); ++i) co_await out.send(i);
  if (!far_setting("CLOSE").empty()) out.close();
}

st::task<> far_receiver() {  // gives back the sum of what it received, through HOME2
  auto in = co_await st::dial<st::receiver<std::int64_t>>(far_setting("HOME"));
  auto out = co_await st::dial<st::sender<std::int64_t>>(far_setting("HOME2"));
  std::int64_t sum = 0;
  while (auto v = co_await in.recv()) sum += *v;
  co_await out.send(sum);
}

TEST(Far, DISABLED_Worker) { st::run(far_worker); }
TEST(Far, DISABLED_Sender) { st::run(far_sender); }
TEST(Far, DISABLED_Receiver) { st::run(far_receiver); }

// -- values both ways
// -----------------------------------------------------------------------------------

st::task<> send_numbers(st::sender<std::int64_t> out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) co_await out.send(i);
}

st::task<> values_in_order(std::string address, std::int64_t n) {
  st::node node;
  co_await node.listen(address);
  std::string at = node.address();
  const std::string sep = at.starts_with("unix") ? "#" : "/";
  auto up = st::make_chan<std::int64_t>(16);
  auto down = st::make_chan<std::int64_t>(16);
  node.serve("up", std::move(up.in));
  node.serve("down", std::move(down.out));
  auto out = co_await st::dial<st::sender<std::int64_t>>(at + sep + "up");
  auto in = co_await st::dial<st::receiver<std::int64_t>>(at + sep + "down");
  EXPECT_EQ(out.cap(), 16U);
  auto sending = st::go(send_numbers, std::move(out), n);
  for (std::int64_t i = 0; i < n; ++i) {
    auto v = co_await up.out.recv();
    EXPECT_TRUE(v);
    if (!v || *v != i) {
      ADD_FAILURE() << "at " << i;
      co_return;
    }
  }
  co_await sending;
  auto feeding = st::go(send_numbers, std::move(down.in), n);
  for (std::int64_t i = 0; i < n; ++i) {
    auto v = co_await in.recv();
    if (!v || *v != i) {
      ADD_FAILURE() << "at " << i;
      co_return;
    }
  }
  auto end = co_await in.recv();
  EXPECT_FALSE(end);
  co_await feeding;
}

TEST(Remote, ValuesInOrderOverTcp) {
  run_on(1, values_in_order, "tcp://127.0.0.1:0", 20000);
  run_on(2, values_in_order, "tcp://127.0.0.1:0", 20000);
}
TEST(Remote, ValuesInOrderOverAUnixSocket) {
  run_on(2, values_in_order, "unix://" + socket_path("order"), 20000);
  std::filesystem::remove(socket_path("order"));
}

st::task<> from_processes(int senders, int each, bool close) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto numbers = st::make_chan<std::int64_t>(8);
  node.serve("numbers", std::move(numbers.in));
  std::vector<far_process> far;
  for (int i = 0; i < senders; ++i) {
    far.emplace_back("Sender",
                     std::map<std::string, std::string>{{"HOME", node.address() + "/numbers"},
                                                        {"COUNT", std::to_string(each)},
                                                        {"CLOSE", close ? "yes" : ""}});
  }
  std::map<std::int64_t, int> seen;
  const int all = senders * each;
  for (int i = 0; i < all; ++i) {
    auto v = co_await numbers.out.recv();
    if (!v) {
      ADD_FAILURE() << "ended after " << i;
      break;
    }
    ++seen[*v];
  }
  for (auto& [value, count] : seen) EXPECT_EQ(count, senders) << value;
  if (!close) node.unserve("numbers");  // the senders left in order: so does the last
  auto end = co_await numbers.out.recv();
  EXPECT_FALSE(end);
  for (auto& f : far) {
    auto status = [&] { return f.wait(); };
    const int ended = co_await st::blocking(status);
    EXPECT_EQ(ended, 0);
  }
}

TEST(Remote, SendersInOtherProcessesAndTheEndWhenTheLastLeaves) {
  st::run(from_processes, 3, 2000, false);
}
TEST(Remote, CloseByARemoteSenderIsABarrier) { st::run(from_processes, 1, 3000, true); }

st::task<> close_at_home(int round) {
  st::node node(st::node_options().window(16).most_window(16));
  co_await node.listen("tcp://127.0.0.1:0");
  st::chan<std::int64_t> c(4);
  node.serve("c", st::sender<std::int64_t>(c));
  auto out = co_await st::dial<st::sender<std::int64_t>>(node.address() + "/c");
  std::int64_t sent = 0;
  auto sending = [](st::sender<std::int64_t> to, std::int64_t& n) -> st::task<> {
    try {
      for (;; ++n) co_await to.send(n);
    } catch (const st::closed&) {
    }
  };
  auto busy = st::go(sending, std::move(out), std::ref(sent));
  for (int i = 0; i < round; ++i) {
    auto v = co_await c.recv();
    EXPECT_EQ(*v, i);
  }
  c.close();
  std::int64_t got = round;
  while (auto v = co_await c.recv()) {
    EXPECT_EQ(*v, got);
    ++got;
  }
  co_await busy;
  EXPECT_EQ(got, sent);  // every send that was done arrived, and none after the end
}
TEST(Remote, CloseAtTheHomeTakesWhatWasSentBefore) {
  for (int round = 0; round < 40; ++round) run_on(round % 2 == 0 ? 1 : 2, close_at_home, round);
}

/// What a receiver is told at the end, after `n` values.
st::task<std::string> end_after(st::receiver<std::int64_t> from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    auto v = co_await from.recv();
    EXPECT_TRUE(v && *v == i);
  }
  try {
    auto v = co_await from.recv();
    co_return v ? "a value" : "the end";
  } catch (const st::failed& e) {
    co_return e.what();
  }
}

st::task<> closed_with_an_error(bool at_home) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  st::chan<std::int64_t> c(4), down(4);
  node.serve("up", st::sender<std::int64_t>(c));
  node.serve("down", st::receiver<std::int64_t>(down));
  auto up = co_await st::dial<st::sender<std::int64_t>>(node.address() + "/up");
  auto in = co_await st::dial<st::receiver<std::int64_t>>(node.address() + "/down");
  for (std::int64_t i = 0; i < 20; ++i) co_await up.send(i);
  for (std::int64_t i = 0; i < 3; ++i) co_await down.send(i);
  if (at_home) {
    c.close("no more paper");
  } else {
    up.close("no more paper");
  }
  down.close("no more ink");
  const auto here = co_await end_after(c, 20);
  const auto there = co_await end_after(in, 3);
  EXPECT_EQ(here, "no more paper");
  EXPECT_EQ(there, "no more ink");
  std::string sending;
  try {
    for (;;) co_await up.send(0);
  } catch (const st::failed& e) {
    sending = e.what();
  }
  EXPECT_EQ(sending, "no more paper");
}
TEST(Remote, AnErrorIsToldFarAwayAsNearBy) {
  for (unsigned workers : {1u, 2u}) {
    run_on(workers, closed_with_an_error, false);
    run_on(workers, closed_with_an_error, true);
  }
}

st::task<> unbounded_far_away() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto up = st::make_chan<std::int64_t>(st::unbounded);
  auto down = st::make_chan<std::int64_t>(st::unbounded);
  node.serve("up", std::move(up.in));
  node.serve("down", std::move(down.out));
  auto out = co_await st::dial<st::sender<std::int64_t>>(node.address() + "/up");
  auto in = co_await st::dial<st::receiver<std::int64_t>>(node.address() + "/down");
  EXPECT_EQ(out.cap(), SIZE_MAX);
  constexpr std::int64_t n = 50'000;
  for (int burst = 0; burst < 3; ++burst) {
    co_await send_numbers(out, n);  // nobody receives
    co_await out.flush();
    EXPECT_EQ(up.out.len(), static_cast<std::size_t>(n));
    co_await send_numbers(down.in, n);
    for (std::int64_t i = 0; i < n; ++i) {
      auto v = co_await up.out.recv();
      auto w = co_await in.recv();
      if (*v != i || *w != i) ADD_FAILURE() << "at " << i;
    }
  }
}
TEST(Remote, AnUnboundedChannelTakesEverything) {
  run_on(1, unbounded_far_away);
  run_on(2, unbounded_far_away);
}

st::task<> to_processes(int receivers, std::int64_t n) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto numbers = st::make_chan<std::int64_t>(8);
  auto sums = st::make_chan<std::int64_t>(8);
  node.serve("numbers", std::move(numbers.out));
  node.serve("sums", std::move(sums.in));
  std::vector<far_process> far;
  for (int i = 0; i < receivers; ++i) {
    far.emplace_back("Receiver",
                     std::map<std::string, std::string>{{"HOME", node.address() + "/numbers"},
                                                        {"HOME2", node.address() + "/sums"}});
  }
  co_await send_numbers(std::move(numbers.in), n);
  std::int64_t sum = 0;
  for (int i = 0; i < receivers; ++i) {
    auto s = co_await sums.out.recv();
    sum += *s;
  }
  EXPECT_EQ(sum, n * (n - 1) / 2);
  for (auto& f : far) {
    auto status = [&] { return f.wait(); };
    const int ended = co_await st::blocking(status);
    EXPECT_EQ(ended, 0);
  }
}

TEST(Remote, OneReceiverInAnotherProcess) { st::run(to_processes, 1, 20000); }
TEST(Remote, SeveralReceiversShareAChannel) { st::run(to_processes, 3, 5000); }

// -- redelivery
// -----------------------------------------------------------------------------------------

st::task<> killed_workers(int n, int workers, int kill_at) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto jobs = st::make_chan<job>(16);
  auto results = st::make_chan<result>(16);
  node.serve("jobs", std::move(jobs.out), st::serve_options().shared());
  node.serve("results", std::move(results.in));
  auto events = node.events();
  std::vector<far_process> far;
  for (int i = 0; i < workers; ++i) {
    far.emplace_back("Worker", std::map<std::string, std::string>{{"HOME", node.address()},
                                                                  {"ME", std::to_string(i)}});
  }
  auto feed = [](st::sender<job> in, int count) -> st::task<> {
    for (int i = 0; i < count; ++i) {
      job next{static_cast<std::uint64_t>(i), std::string(static_cast<std::size_t>(i % 9), 'x')};
      co_await in.send(std::move(next));
    }
  };
  auto feeding = st::go(feed, std::move(jobs.in), n);
  std::set<std::uint64_t> seen;
  std::set<std::uint32_t> who;
  while (static_cast<int>(seen.size()) < n) {
    auto r = co_await results.out.recv();
    if (!r) break;
    EXPECT_EQ(r->length, r->id % 9);
    seen.insert(r->id);
    who.insert(r->worker);
    if (static_cast<int>(seen.size()) == kill_at) far[0].kill();
  }
  EXPECT_EQ(static_cast<int>(seen.size()), n);
  EXPECT_EQ(static_cast<int>(who.size()), workers);
  co_await feeding;
  for (std::size_t i = 1; i < far.size(); ++i) {
    auto status = [&] { return far[i].wait(); };
    const int ended = co_await st::blocking(status);
    EXPECT_EQ(ended, 0);
  }
  int joined = 0, died = 0;
  while (auto e = events.try_recv()) {
    joined += e->what == st::peer_event::kind::joined ? 1 : 0;
    died += e->what == st::peer_event::kind::died ? 1 : 0;
  }
  EXPECT_EQ(joined, workers);
  EXPECT_EQ(died, 1);
}

TEST(Remote, AKilledWorkersJobsGoToTheOthers) {
  for (int round = 0; round < 3; ++round) st::run(killed_workers, 600, 3, 100 + 150 * round);
}

st::task<> took_and_died() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto jobs = st::make_chan<std::int64_t>(8);
  auto told = st::make_chan<std::int64_t>(8);
  node.serve("jobs", jobs.out);
  node.serve("told", std::move(told.in));
  for (int i = 0; i < 3; ++i) co_await jobs.in.send(i);
  far_process far("Taker", {{"HOME", node.address()}});
  auto first = co_await told.out.recv();  // it has taken two and acked the second
  EXPECT_EQ(*first, 1);
  far.kill();
  auto again = co_await jobs.out.take();
  EXPECT_EQ(*again, 0);
  EXPECT_EQ(again.attempt(), 2U);
  again.ack();
  auto rest = co_await jobs.out.take();  // never handed to a goroutine there, or never sent
  EXPECT_EQ(*rest, 2);
  rest.ack();
  auto nothing = jobs.out.try_recv();
  EXPECT_FALSE(nothing);
}

st::task<> far_taker() {
  auto jobs = co_await st::dial<st::receiver<std::int64_t>>(far_setting("HOME") + "/jobs");
  auto told = co_await st::dial<st::sender<std::int64_t>>(far_setting("HOME") + "/told");
  auto a = co_await jobs.take();
  auto b = co_await jobs.take();
  b.ack();
  co_await st::sleep(200ms);  // the ack has gone out; nothing else tells
  co_await told.send(*b);
  co_await told.flush();
  co_await st::sleep(1h);
}
TEST(Far, DISABLED_Taker) { st::run(far_taker); }
TEST(Remote, TakenButNotAckedComesBackWithAHigherAttempt) { st::run(took_and_died); }

// -- ends that are no ends
// --------------------------------------------------------------------------------

st::task<> far_home() {
  st::node node(st::node_options().heartbeat(50ms, 300ms));
  co_await node.listen("unix://" + far_setting("PATH"));
  auto up = st::make_chan<std::int64_t>(4);
  auto down = st::make_chan<std::int64_t>(4);
  node.serve("up", std::move(up.in));
  node.serve("down", std::move(down.out));
  co_await down.in.send(7);
  if (far_setting("LEAVES").empty()) co_await st::sleep(1h);
  co_await up.out.recv();
}
TEST(Far, DISABLED_Home) { st::run(far_home); }

st::task<std::pair<st::sender<std::int64_t>, st::receiver<std::int64_t>>> reach(std::string base) {
  for (int i = 0;; ++i) {
    try {
      auto up = co_await st::dial<st::sender<std::int64_t>>(base + "#up");
      auto down = co_await st::dial<st::receiver<std::int64_t>>(base + "#down");
      co_return std::pair(std::move(up), std::move(down));
    } catch (const st::dial_error&) {
      if (i > 500) throw;
    }
    co_await st::sleep(10ms);  // until it listens
  }
}

st::task<> home_dies(std::string path, bool stop) {
  far_process home("Home", {{"PATH", path}});
  const std::string base = "unix://" + path;
  auto [up, down] = co_await reach(base);
  auto first = co_await down.recv();
  EXPECT_EQ(*first, 7);
  stop ? home.stop() : home.kill();
  std::string receiving, sending;
  try {
    auto v = co_await down.recv();
    ADD_FAILURE() << "an end, or a value: " << v.has_value();
  } catch (const st::lost& e) {
    receiving = e.what();
  }
  try {
    for (;;) co_await up.send(1);
  } catch (const st::lost& e) {
    sending = e.what();
  }
  EXPECT_TRUE(receiving.starts_with("strait: " + base + "#down is lost: ")) << receiving;
  EXPECT_TRUE(sending.starts_with("strait: " + base + "#up is lost: ")) << sending;
  if (stop) {
    EXPECT_NE(receiving.find("no sign of life"), std::string::npos) << receiving;
  }
  EXPECT_EQ(receiving.find('\n'), std::string::npos);
}

TEST(Remote, AKilledHomeIsLostAndNoEnd) {
  const std::string path = socket_path("killed");
  st::run(home_dies, path, false);
  std::filesystem::remove(path);
}
TEST(Remote, AStoppedHomeIsLostByHeartbeat) {
  const std::string path = socket_path("stopped");
  st::run(home_dies, path, true);
  std::filesystem::remove(path);
}

st::task<> lost_sender() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto numbers = st::make_chan<std::int64_t>(4);
  node.serve("numbers", std::move(numbers.in));
  far_process far("Sender", {{"HOME", node.address() + "/numbers"}, {"COUNT", "1000000"}});
  for (int i = 0; i < 100; ++i) co_await numbers.out.recv();
  far.kill();
  node.unserve("numbers");
  bool lost = false;
  try {
    while (auto v = co_await numbers.out.recv()) {
    }
  } catch (const st::lost&) {
    lost = true;
  }
  EXPECT_TRUE(lost);
}
TEST(Remote, ALostSenderIsNoEnd) { st::run(lost_sender); }

// -- errors of dial and listen
// ----------------------------------------------------------------------------

struct job2 {
  std::uint64_t id = 0;
  std::int64_t text = 0;
};

st::task<> dial_errors() {
  using r = st::receiver<job>;
  using s = st::sender<job>;
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  const std::string at = node.address();
  st::chan<job> jobs(4);
  node.serve("jobs", st::receiver<job>(jobs));
  const std::string error1 = co_await dial_message<r>("tcp//x");
  EXPECT_EQ(error1, "strait: malformed address 'tcp//x': it must start with tcp:// or unix://");
  const std::string error2 = co_await dial_message<r>(at);
  EXPECT_EQ(error2, "strait: malformed address '" + at + "': it names no channel");
  const std::string error3 = co_await dial_message<r>(at + "/nobody");
  EXPECT_EQ(error3, "strait: " + at + "/nobody: no channel named 'nobody' is served here");
  const std::string error4 = co_await dial_message<s>(at + "/jobs");
  EXPECT_EQ(error4, "strait: " + at + "/jobs: 'jobs' is served for receiving only");
  const std::string mismatch = co_await dial_message<st::receiver<job2>>(at + "/jobs");
  EXPECT_TRUE(mismatch.starts_with("strait: " + at + "/jobs: the channel carries another type: "))
      << mismatch;
  EXPECT_NE(mismatch.find("text"), std::string::npos) << mismatch;
  const std::string error5 = co_await dial_message<r>("tcp://127.0.0.1:1/jobs");
  EXPECT_EQ(error5, "strait: cannot connect to tcp://127.0.0.1:1: Connection refused");
  const std::string error6 = co_await dial_message<r>("unix:///nowhere/at/all#jobs");
  EXPECT_EQ(error6, "strait: cannot connect to unix:///nowhere/at/all: No such file or directory");
  const std::string open = co_await dial_message<r>("tcp://192.0.2.1:1/jobs");
  EXPECT_TRUE(open.starts_with("strait: tcp://192.0.2.1:1 can be reached from other machines"))
      << open;
  std::string in_use, public_listen;
  st::node second;
  try {
    co_await second.listen(at);
  } catch (const st::dial_error& e) {
    in_use = e.what();
  }
  EXPECT_EQ(in_use, "strait: cannot listen on " + at + ": Address already in use");
  try {
    co_await second.listen("tcp://0.0.0.0:0");
  } catch (const st::dial_error& e) {
    public_listen = e.what();
  }
  EXPECT_TRUE(public_listen.starts_with("strait: tcp://0.0.0.0:0 can be reached")) << public_listen;
  st::chan<job> rendezvous(0);
  EXPECT_NE(message_of([&] { node.serve("r", st::receiver<job>(rendezvous)); }).find("rendezvous"),
            std::string::npos);
  EXPECT_EQ(message_of([&] { node.serve("jobs", st::receiver<job>(jobs)); }),
            "strait: 'jobs' is served already");
}
TEST(Remote, ErrorsAreOneLineThatNamesTheThing) { st::run(dial_errors); }

st::task<> silent_listener() {
  auto a = st::detail::address::parse("tcp://127.0.0.1:0");
  auto fd = st::detail::listen_on(a, st::detail::resolve(a));  // accepts nobody, says nothing
  const std::string name = a.node() + "/x";
  std::string what;
  auto quick = st::dial_options().timeout(100ms);
  try {
    co_await st::dial<st::sender<int>>(name, quick);
  } catch (const st::dial_error& e) {
    what = e.what();
  }
  EXPECT_EQ(what, "strait: cannot connect to " + a.node() + ": no handshake in 100 ms");
}
TEST(Remote, AListenerThatSaysNothingIsGivenUp) { st::run(silent_listener); }

// -- flush, back-pressure, select
// ---------------------------------------------------------------------------

st::task<> flushes() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  st::chan<int> c(100);
  node.serve("c", st::sender<int>(c));
  auto out = co_await st::dial<st::sender<int>>(node.address() + "/c");
  for (int i = 1; i <= 50; ++i) {
    co_await out.send(i);
    co_await out.flush();
    EXPECT_EQ(c.len(), static_cast<std::size_t>(i));
  }
}
TEST(Remote, FlushMeansTheHomeHasIt) {
  run_on(1, flushes);
  run_on(2, flushes);
}

st::task<> backpressure() {
  st::node node(st::node_options().window(32).most_window(32));
  co_await node.listen("tcp://127.0.0.1:0");
  st::chan<std::int64_t> c(64);
  node.serve("c", st::sender<std::int64_t>(c));
  auto out = co_await st::dial<st::sender<std::int64_t>>(node.address() + "/c");
  // Nobody receives: what is accepted is bounded by the capacity and this link's window.
  int sent = 0;
  for (;;) {
    try {
      co_await st::with_timeout(300ms, out.send(sent));
      ++sent;
    } catch (const st::timed_out&) {
      break;
    }
  }
  EXPECT_GE(sent, 64);
  EXPECT_LE(sent, 64 + 32);
  for (int i = 0; i < sent; ++i) {
    auto v = co_await c.recv();
    EXPECT_EQ(*v, i);
  }
  co_await out.send(sent);
  auto v = co_await c.recv();
  EXPECT_EQ(*v, sent);
}
TEST(Remote, AFullChannelSuspendsTheSender) { st::run(backpressure); }

/// Values of all sizes up to the limit of an item: none waits for bytes that nobody grants.
st::task<> all_sizes(bool flush) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto up = st::make_chan<job>(4);
  auto down = st::make_chan<job>(4);
  node.serve("up", std::move(up.in));
  node.serve("down", std::move(down.out));
  auto out = co_await st::dial<st::sender<job>>(node.address() + "/up");
  auto in = co_await st::dial<st::receiver<job>>(node.address() + "/down");
  const std::size_t sizes[] = {1, 300'000, 10, 200'000, 200'000, 65'536, 1'000'000, 1, 1'000'000};
  const auto send = [&](const st::sender<job>& to) -> st::task<> {
    for (std::uint64_t i = 0; i < 5 * std::size(sizes); ++i) {
      job next{i, std::string(sizes[i % std::size(sizes)], 'x')};
      co_await to.send(std::move(next));
      if (flush) co_await to.flush();
    }
  };
  const auto receive = [&](const st::receiver<job>& from) -> st::task<> {
    for (std::uint64_t i = 0; i < 5 * std::size(sizes); ++i) {
      auto j = co_await from.recv();
      EXPECT_EQ(j->id, i);
      EXPECT_EQ(j->text.size(), sizes[i % std::size(sizes)]);
    }
  };
  co_await st::scope([&](st::group& g) -> st::task<> {
    g.go([&]() -> st::task<> { co_await send(out); });
    g.go([&]() -> st::task<> { co_await send(down.in); });
    g.go([&]() -> st::task<> { co_await receive(up.out); });
    co_await receive(in);
  });
}
TEST(Remote, ValuesOfAllSizesPass) {
  for (unsigned workers : {1u, 2u}) {
    run_on(workers, all_sizes, false);
    run_on(workers, all_sizes, true);
  }
}

st::task<> polling(int n) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto c = st::make_chan<std::int64_t>(8);
  node.serve("c", std::move(c.out), st::serve_options().shared());
  auto in = co_await st::dial<st::receiver<std::int64_t>>(node.address() + "/c");
  auto feeding = st::go(send_numbers, std::move(c.in), n);
  std::int64_t next = 0;
  while (next < n) {
    auto s = co_await st::select{in.recv(), st::otherwise};
    if (s.index() == 0) {
      EXPECT_EQ(*s.get<0>(), next);
      ++next;
    } else {
      co_await st::yield();
    }
  }
  co_await feeding;
}
TEST(Remote, APollingLoopGetsItsValues) { run_on(2, polling, 200); }

/// Sends until nobody receives any more.
st::task<> send_for_ever(st::sender<std::int64_t> out) {
  try {
    for (std::int64_t i = 0;; ++i) co_await out.send(i);
  } catch (const st::closed&) {
  }
}

st::task<> selects(std::uint64_t rounds) {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto down = st::make_chan<std::int64_t>(16);
  auto up = st::make_chan<std::int64_t>(16);
  auto near = st::make_chan<std::int64_t>(16);
  node.serve("down", std::move(down.out));
  node.serve("up", std::move(up.in));
  auto in = co_await st::dial<st::receiver<std::int64_t>>(node.address() + "/down");
  auto out = co_await st::dial<st::sender<std::int64_t>>(node.address() + "/up");
  auto feed_far = st::go(send_for_ever, std::move(down.in));
  auto feed_near = st::go(send_for_ever, std::move(near.in));
  auto drain = [](st::receiver<std::int64_t> from, std::int64_t& n) -> st::task<> {
    while (auto v = co_await from.recv()) {
      EXPECT_EQ(*v, n);
      ++n;
    }
  };
  std::int64_t arrived = 0, from_far = 0, from_near = 0, sent = 0, timeouts = 0;
  auto draining = st::go(drain, std::move(up.out), std::ref(arrived));
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const auto wait = std::chrono::nanoseconds((i * 7919) % 20000);
    auto s = co_await st::select{in.recv(), out.send(sent), near.out.recv(), st::after(wait)};
    switch (s.index()) {
      case 0:
        EXPECT_EQ(*s.get<0>(), from_far);
        ++from_far;
        break;
      case 1: ++sent; break;
      case 2:
        EXPECT_EQ(*s.get<2>(), from_near);
        ++from_near;
        break;
      default: ++timeouts; break;
    }
  }
  EXPECT_GT(from_far, 0);
  EXPECT_GT(sent, 0);
  EXPECT_GT(from_near, 0);
  EXPECT_GT(timeouts, 0);
  co_await out.flush();
  out = {};
  node.unserve("up");
  co_await draining;
  EXPECT_EQ(arrived, sent);
}
TEST(Remote, SelectOverTwoRemoteAndOneLocalChannel) { st::run(selects, scaled(100000)); }

// -- the end of the program
// -----------------------------------------------------------------------------

st::task<> lingering() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto numbers = st::make_chan<std::int64_t>(4);
  node.serve("numbers", std::move(numbers.in));
  // It sends and ends at once: what it sent must still arrive, and then the end.
  far_process far("Sender", {{"HOME", node.address() + "/numbers"}, {"COUNT", "50"}});
  co_await st::sleep(300ms);
  for (int i = 0; i < 50; ++i) {
    auto v = co_await numbers.out.recv();
    EXPECT_EQ(*v, i);
  }
  auto status = [&] { return far.wait(); };
  const int ended = co_await st::blocking(status);
  EXPECT_EQ(ended, 0);
}
TEST(Remote, WhatWasSentArrivesAfterTheEndOfItsSender) { st::run(lingering); }

st::task<> send_into_the_void(std::string base) {
  auto ends = co_await reach(base);
  for (int i = 0; i < 20; ++i) co_await ends.first.send(i);
}
TEST(Remote, WhatNoHomeAcceptedIsNamedAndRunFails) {
  const std::string path = socket_path("unsent");
  far_process home("Home", {{"PATH", path}});
  std::string what;
  testing::internal::CaptureStderr();
  try {
    st::run(st::runtime_options().linger(500ms), send_into_the_void, "unix://" + path);
  } catch (const st::unsent& e) {
    what = e.what();
  }
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_NE(what.find("unix://" + path + "#up: "), std::string::npos) << what;
  EXPECT_NE(printed.find("values were not accepted"), std::string::npos) << printed;
  std::filesystem::remove(path);
}

}  // namespace
