// A shared library compiled with hidden visibility that uses strait by itself.
#include "plugin.hpp"

namespace {

namespace st = strait;

st::task<> producer(st::sender<int> out, int count) {
  for (int i = 0; i < count; ++i) co_await out.send(i);
}

st::task<> wait_until_cancelled(st::receiver<int> never, st::sender<int> out) {
  bool seen = false;
  try {
    co_await never.recv();
  } catch (const st::cancelled&) {
    seen = true;
  }
  // The context is cancelled for good, so nothing here may wait.
  if (seen) out.try_send(1);
}

st::task<> fail() {
  auto [in, out] = st::make_chan<int>(1);
  in.close();
  co_await in.send(1);
}

const strait_test_plugin plugin = {
    [] { return static_cast<const void*>(&st::detail::this_thread()); },
    [] { return static_cast<const void*>(&st::detail::depot()); },
    [] { return st::detail::next_scheduler_number(); },
    [](st::sender<int> out, int count) { st::go(producer, std::move(out), count); },
    wait_until_cancelled,
    fail,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const strait_test_plugin*
strait_test_plugin_entry() {
  return &plugin;
}
