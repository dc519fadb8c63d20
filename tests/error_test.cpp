// The errors: what they are, what they say, and what catches them.
#include <strait/error.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace {

namespace st = strait;

// A worker's catch (const std::exception&) must not swallow its own cancellation.
static_assert(!std::is_base_of_v<std::exception, st::cancelled>);
static_assert(std::is_base_of_v<st::channel_error, st::closed>);
static_assert(std::is_base_of_v<st::channel_error, st::failed>);
static_assert(std::is_base_of_v<st::channel_error, st::lost>);
static_assert(std::is_base_of_v<std::runtime_error, st::channel_error>);
static_assert(std::is_base_of_v<std::runtime_error, st::timed_out>);
static_assert(std::is_base_of_v<std::runtime_error, st::join_error>);
static_assert(std::is_base_of_v<std::runtime_error, st::deadlock>);
static_assert(std::is_base_of_v<std::logic_error, st::misuse>);
static_assert(!std::is_base_of_v<st::channel_error, st::timed_out>);

TEST(error, a_channel_error_says_what_and_which_case) {
  const st::closed closed;
  EXPECT_EQ(closed.code(), st::channel_errc::closed);
  EXPECT_STREQ(closed.what(), "strait: send on a closed channel");
  EXPECT_EQ(closed.case_index(), st::channel_error::no_case);
  const st::closed nobody(st::channel_errc::no_receiver);
  EXPECT_EQ(nobody.code(), st::channel_errc::no_receiver);
  EXPECT_STREQ(nobody.what(), "strait: send on a channel without a receiver");
  st::lost lost("gone");
  EXPECT_EQ(lost.code(), st::channel_errc::lost);
  lost.set_case_index(3);
  EXPECT_EQ(st::lost(lost).case_index(), 3u);
  EXPECT_EQ(st::failed("x").code(), st::channel_errc::failed);
}

TEST(error, cancelled_keeps_its_cause) {
  EXPECT_EQ(st::cancelled().cause(), nullptr);
  const st::cancelled c(std::make_exception_ptr(std::runtime_error("why")));
  std::string what;
  try {
    std::rethrow_exception(c.cause());
  } catch (const std::runtime_error& e) {
    what = e.what();
  }
  EXPECT_EQ(what, "why");
}

TEST(error, messages_begin_with_the_library_or_say_what_was_wrong) {
  EXPECT_STREQ(st::misuse("do not").what(), "strait: do not");
  EXPECT_STREQ(st::timed_out().what(), "strait: timed out");
}

}  // namespace
