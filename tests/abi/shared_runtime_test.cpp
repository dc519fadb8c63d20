// One runtime per process, also across shared libraries that were compiled with hidden visibility
// and opened with dlopen. Two copies of one library stand for two different ones.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "plugin.hpp"

namespace {

namespace st = strait;

class shared_runtime : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("STRAIT_PLUGIN_DIR");
    ASSERT_NE(folder, nullptr) << "set by the build";
    const std::string path = std::string(folder) + "/" + GetParam();
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << ::dlerror();
    auto* entry = reinterpret_cast<decltype(&strait_test_plugin_entry)>(
        ::dlsym(library, "strait_test_plugin_entry"));
    ASSERT_NE(entry, nullptr) << ::dlerror();
    plugin_ = entry();
    // Never closed: frames of its coroutines may live as long as the process.
  }

  const strait_test_plugin* plugin_ = nullptr;
};

TEST_P(shared_runtime, process_wide_state_has_one_address) {
  EXPECT_EQ(plugin_->thread_state(), &st::detail::this_thread());
  EXPECT_EQ(plugin_->frame_depot(), &st::detail::depot());
  int unrelated = 0;
  EXPECT_NE(plugin_->thread_state(), static_cast<const void*>(&unrelated));
}

TEST_P(shared_runtime, runtimes_have_numbers_of_their_own) {
  EXPECT_NE(plugin_->scheduler_number(), st::detail::next_scheduler_number());
}

TEST_P(shared_runtime, a_goroutine_of_the_plugin_sends_on_a_channel_of_the_program) {
  constexpr int count = 10'000;
  long sum = 0;
  bool in_order = true;
  st::run([&]() -> st::task<> {
    auto [in, out] = st::make_chan<int>(0);
    plugin_->produce(std::move(in), count);
    int expected = 0;
    while (auto v = co_await out.recv()) {
      in_order = in_order && *v == expected++;
      sum += *v;
    }
  });
  EXPECT_TRUE(in_order);
  EXPECT_EQ(sum, static_cast<long>(count) * (count - 1) / 2);
}

TEST_P(shared_runtime, a_cancellation_by_the_program_reaches_the_plugin) {
  bool heard = false;
  st::run([&]() -> st::task<> {
    st::chan<int> never(0);
    st::chan<int> said(1);
    try {
      co_await st::scope([&](st::group& g) -> st::task<> {
        g.go(plugin_->wait_until_cancelled, st::receiver<int>(never), st::sender<int>(said));
        g.go([]() -> st::task<> {
          throw std::runtime_error("stop");
          co_return;
        });
        co_return;
      });
    } catch (const std::runtime_error&) {
    }
    heard = static_cast<bool>(said.try_recv());
  });
  EXPECT_TRUE(heard);
}

TEST_P(shared_runtime, an_error_of_the_plugin_is_caught_by_type) {
  bool caught = false;
  st::run([&]() -> st::task<> {
    try {
      co_await plugin_->fail();
    } catch (const st::channel_error& error) {
      caught = error.code() == st::channel_errc::closed;
    }
  });
  EXPECT_TRUE(caught);
}

INSTANTIATE_TEST_SUITE_P(both, shared_runtime,
                         testing::Values("libstrait_plugin_a.so", "libstrait_plugin_b.so"));

}  // namespace
