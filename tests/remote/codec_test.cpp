// test: flags=-O0
// Many types a few times each: compiling them is what costs.
#include <strait/remote/codec.hpp>
#include <strait/remote/schema.hpp>
// Nothing of Cap'n Proto may come before the codec's headers.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "codec_random.hpp"
#include "codec_types.hpp"
#include "support.hpp"

namespace {

namespace st = strait;
namespace sd = strait::detail;
using namespace std::chrono_literals;
using strait_test::codec_seed;
using strait_test::scaled;
using strait_test::value_source;

/// A message with one root, in segments of the given size.
struct message {
  explicit message(unsigned first_words = 1024, capnp::AllocationStrategy strategy =
                                                    capnp::AllocationStrategy::GROW_HEURISTICALLY)
      : builder(first_words, strategy) {}

  capnp::AnyPointer::Builder root() { return builder.getRoot<capnp::AnyPointer>(); }
  capnp::AnyPointer::Reader reader() { return root().asReader(); }
  std::vector<std::uint64_t> words() {
    const auto flat = capnp::messageToFlatArray(builder);
    std::vector<std::uint64_t> out(flat.size());
    std::memcpy(out.data(), flat.begin(), out.size() * sizeof(out[0]));
    return out;
  }

  capnp::MallocMessageBuilder builder;
};

kj::ArrayPtr<const capnp::word> segments_of(const std::vector<std::uint64_t>& words) {
  return {reinterpret_cast<const capnp::word*>(words.data()), words.size()};
}

template <class T>
T round_trip(const T& value) {
  message m;
  st::encode(m.root(), value);
  return st::decode<T>(m.reader());
}

/// What decoding or encoding says, or "no error".
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const st::codec_error& error) {
    return error.what();
  }
  return "no error";
}

// -------------------------------------------------------------------------------------------------
// What is decided at compile time

struct padded {
  std::int32_t a;
  std::int64_t b;
};
struct with_bool {
  bool a;
  std::int8_t b, c, d;
  std::int32_t e;
};
struct reordered {  // a hole is filled by a later field, so the wire's order is another
  std::int8_t a, b, c, d;
  std::int32_t e;
  std::int16_t f, g;
};
struct half_word {
  std::int32_t a;
};
static_assert(sd::is_image<sample::point> && sd::is_image<sample::pod64>);
static_assert(sd::is_image<reordered> == false, "16 bytes on the wire, 12 in memory");
static_assert(!sd::is_image<padded> && !sd::is_image<with_bool> && !sd::is_image<half_word>);
static_assert(!sd::is_image<sample::empty> && !sd::is_image<sample::record>);
static_assert(sd::layout_of<sample::pod64>.data_words == 8);

static_assert(st::encodable<int> && st::encodable<std::string> && st::encodable<sample::uuid>);
static_assert(!st::encodable<int*> && !st::encodable<std::string_view> && !st::encodable<wchar_t> &&
              !st::encodable<std::unique_ptr<int>> && !st::encodable<long double> &&
              !st::encodable<const int>);

// clang-format off
struct wide {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, c0, c1, c2,
      c3, c4, c5, c6, c7, c8, c9, d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, e0, e1, e2, e3, e4, e5, e6,
      e7;
  bool operator==(const wide&) const = default;
};
// clang-format on
static_assert(sd::arity<wide> == 48 && sd::arity<sample::empty> == 0);
static_assert(sd::member_name<wide, 47>() == "e7" &&
              sd::member_name<sample::record, 1>() == "text");

// -------------------------------------------------------------------------------------------------
// There and back

template <class... Ts>
void round_trips(value_source& values) {
  const auto one = [&](const auto& value) { EXPECT_TRUE(round_trip(value) == value); };
  (one(values.make<Ts>()), ...);
}

TEST(codec, gives_back_what_it_was_given) {
  value_source values(codec_seed());
  for (std::uint64_t round = 0; round < scaled(300); ++round) {
    round_trips<sample::everything, wide, bool, std::int8_t, std::uint64_t, float, double, char,
                std::byte, sample::color, std::chrono::microseconds,
                std::chrono::system_clock::time_point, std::string, std::vector<char>,
                std::vector<std::vector<bool>>, std::array<std::uint8_t, 4>, std::optional<int>,
                std::optional<std::optional<std::string>>, std::variant<int, std::string>,
                std::map<int, std::string>, std::set<std::string>, std::pair<int, std::string>,
                std::tuple<bool, std::vector<int>>, sample::uuid>(values);
    if (HasFailure()) break;
  }
}

TEST(codec, copes_with_values_spread_over_segments) {
  value_source values(codec_seed());
  for (std::uint64_t round = 0; round < scaled(100); ++round) {
    const auto value = values.make<sample::everything>();
    message m(1, capnp::AllocationStrategy::FIXED_SIZE);
    st::encode(m.root(), value);
    ASSERT_GT(m.builder.getSegmentsForOutput().size(), 1u);
    const auto words = m.words();
    capnp::FlatArrayMessageReader reader(segments_of(words));
    ASSERT_TRUE(st::decode<sample::everything>(reader.getRoot<capnp::AnyPointer>()) == value);
  }
}

template <class T>
void batch_round_trip(value_source& values) {
  std::vector<T> batch(static_cast<std::size_t>(values.below(20)));
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i] = values.make<T>();
  message m;
  const auto half = static_cast<std::size_t>(values.below(batch.size() + 1));
  if constexpr (std::is_same_v<T, bool>) {
    st::encode_batch<T>(m.root(), batch);
  } else {
    const std::span<const T> all(batch);
    st::encode_batch<T>(m.root(), all.first(half), all.subspan(half));
  }
  EXPECT_EQ(st::batch_size(m.reader()), batch.size());

  std::vector<T> one_by_one;
  const auto sink = [&](T&& value) { one_by_one.push_back(std::move(value)); };
  EXPECT_EQ(st::decode_batch<T>(m.reader(), sink), batch.size());
  EXPECT_TRUE(one_by_one == batch);
  std::vector<T> at_once{T{}};
  st::decode_batch<T>(m.reader(), at_once);
  EXPECT_TRUE(at_once == batch);

  message again;
  st::encode_batch<T>(again.root(), std::deque<T>(batch.begin(), batch.end()));
  EXPECT_TRUE(m.words().size() == again.words().size());
}

TEST(codec, batches_of_every_kind) {
  value_source values(codec_seed());
  for (std::uint64_t round = 0; round < scaled(200); ++round) {
    batch_round_trip<std::int64_t>(values);
    batch_round_trip<bool>(values);
    batch_round_trip<double>(values);
    batch_round_trip<sample::color>(values);
    batch_round_trip<std::chrono::seconds>(values);
    batch_round_trip<std::string>(values);
    batch_round_trip<std::vector<std::byte>>(values);
    batch_round_trip<std::vector<std::string>>(values);
    batch_round_trip<sample::pod64>(values);
    batch_round_trip<sample::scalars>(values);
    batch_round_trip<sample::record>(values);
    batch_round_trip<sample::even>(values);
    batch_round_trip<std::optional<std::string>>(values);
    batch_round_trip<std::variant<int, bool>>(values);
    batch_round_trip<sample::empty>(values);
    if (HasFailure()) break;
  }
}

template <class T>
capnp::ElementSize batch_element_size() {
  message m;
  st::encode_batch<T>(m.root(), std::vector<T>(2));
  return m.reader().template getAs<capnp::AnyList>().getElementSize();
}

TEST(codec, batches_are_lists_of_the_values_own_type) {
  using capnp::ElementSize;
  EXPECT_EQ(batch_element_size<std::int64_t>(), ElementSize::EIGHT_BYTES);
  EXPECT_EQ(batch_element_size<std::int16_t>(), ElementSize::TWO_BYTES);
  EXPECT_EQ(batch_element_size<bool>(), ElementSize::BIT);
  EXPECT_EQ(batch_element_size<std::string>(), ElementSize::POINTER);
  EXPECT_EQ(batch_element_size<sample::point>(), ElementSize::INLINE_COMPOSITE);
  EXPECT_EQ(batch_element_size<std::optional<int>>(), ElementSize::INLINE_COMPOSITE);

  message m;
  const std::vector<std::int64_t> numbers{1, -2, 3};
  st::encode_batch<std::int64_t>(m.root(), numbers);
  const auto list = m.reader().getAs<capnp::List<std::int64_t>>();
  EXPECT_EQ(list[1], -2);
  EXPECT_EQ(st::encoded_batch_words<std::int64_t>(numbers), 3u);
}

// -------------------------------------------------------------------------------------------------
// Versions

struct job_v1 {
  std::uint64_t id = 0;
  sample::point where;
};
struct point_v2 {
  std::int32_t x = 0, y = 0;
  std::int32_t z = -1;
};
struct job_v2 {
  std::uint64_t id = 0;
  point_v2 where;
  std::int32_t retries = 3;
  bool urgent = true;
  std::string text = "none given";
  std::vector<std::string> tags{"a", "b"};
  std::optional<int> limit = 7;
  std::variant<int, std::string> how = "by hand";
  std::chrono::seconds wait = 30s;
};

TEST(codec, fields_that_an_older_sender_lacks_keep_their_initialisers) {
  message m;
  st::encode(m.root(), job_v1{.id = 42, .where = {.x = 1, .y = 2}});
  const job_v2 job = st::decode<job_v2>(m.reader());
  EXPECT_EQ(job.id, 42u);
  EXPECT_EQ(job.where.x, 1);
  EXPECT_EQ(job.where.y, 2);
  EXPECT_EQ(job.where.z, -1);
  EXPECT_EQ(job.retries, 3);
  EXPECT_TRUE(job.urgent);
  EXPECT_EQ(job.text, "none given");
  EXPECT_EQ(job.tags.size(), 2u);
  EXPECT_EQ(job.limit, 7);
  EXPECT_EQ(std::get<std::string>(job.how), "by hand");
  EXPECT_EQ(job.wait, 30s);

  // The same where the list has elements of the older size, image or not.
  message list;
  st::encode_batch<sample::point>(list.root(), std::vector<sample::point>{{1, 2}, {3, 4}});
  std::vector<point_v2> points;
  st::decode_batch<point_v2>(list.reader(), points);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].y, 4);
  EXPECT_EQ(points[1].z, -1);
}

TEST(codec, fields_that_a_newer_sender_has_more_are_not_looked_at) {
  message m;
  st::encode(m.root(), job_v2{.id = 9, .where = {.x = 5, .y = 6}});
  const job_v1 job = st::decode<job_v1>(m.reader());
  EXPECT_EQ(job.id, 9u);
  EXPECT_EQ(job.where.y, 6);

  message list;
  st::encode_batch<point_v2>(list.root(), std::vector<point_v2>{{1, 2}, {3, 4}});
  std::vector<sample::point> points;
  st::decode_batch<sample::point>(list.reader(), points);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1], (sample::point{3, 4}));
}

TEST(codec, what_was_sent_replaces_the_initialiser) {
  job_v2 sent;
  sent.retries = 0;
  sent.urgent = false;
  sent.text.clear();
  sent.tags.clear();
  sent.limit.reset();
  sent.how = 0;
  sent.wait = 0s;
  const job_v2 job = round_trip(sent);
  EXPECT_EQ(job.retries, 0);
  EXPECT_FALSE(job.urgent);
  EXPECT_EQ(job.text, "");
  EXPECT_TRUE(job.tags.empty());
  EXPECT_FALSE(job.limit.has_value());
  EXPECT_EQ(std::get<int>(job.how), 0);
  EXPECT_EQ(job.wait, 0s);
}

TEST(codec, null_pointers_are_empty) {
  message m;
  m.root().initAsAnyStruct(9, 9);
  const job_v2 job = st::decode<job_v2>(m.reader());
  EXPECT_EQ(job.text, "");
  EXPECT_TRUE(job.tags.empty());
  EXPECT_EQ(job.where.z, -1) << "a null record stays as its initialisers made it";

  message null;
  EXPECT_EQ(st::decode<job_v2>(null.reader()).text, "none given");
  EXPECT_EQ(st::decode<std::string>(null.reader()), "");
  EXPECT_EQ(st::decode_batch<int>(null.reader(), [](int&&) {}), 0u);
  EXPECT_EQ(st::batch_size(null.reader()), 0u);
}

// -------------------------------------------------------------------------------------------------
// Refusals name the field

enum class small : std::int8_t { zero };
enum class large : std::int32_t { zero };
struct inner {
  std::string text;
  large number{};
  sample::even half;
};
struct outer {
  std::vector<inner> items;
  std::map<int, std::vector<std::string>> names;
  std::optional<inner> one;
};

TEST(codec, encoding_refuses_by_name) {
  message m;
  outer value;
  value.items.resize(2);
  value.items[1].text = "\xff";
  EXPECT_EQ(error_of([&] { st::encode(m.root(), value); }),
            "outer.items[].text: a string that is not UTF-8; bytes travel as std::vector<char>");
  value = {};
  value.names[3] = {"fine", "\xc3"};
  EXPECT_EQ(
      error_of([&] { st::encode(m.root(), value); }),
      "outer.names[].second[]: a string that is not UTF-8; bytes travel as std::vector<char>");
  value = {};
  value.one.emplace().number = static_cast<large>(-1);
  EXPECT_EQ(error_of([&] { st::encode(m.root(), value); }),
            "outer.one.number: the enumerator -1 is not within 0 to 65535");
  value.one->number = static_cast<large>(70000);
  EXPECT_EQ(error_of([&] { st::encode(m.root(), value); }),
            "outer.one.number: the enumerator 70000 is not within 0 to 65535");
  value = {};
  value.one.emplace().half = sample::even(3);
  EXPECT_EQ(error_of([&] { st::encode(m.root(), value); }), "outer.one.half: an odd number");
  EXPECT_EQ(error_of([&] { st::encode(m.root(), static_cast<small>(-1)); }),
            "the enumerator -1 is not within 0 to 65535");
  EXPECT_EQ(
      error_of([&] { st::encode_batch<std::string>(m.root(), std::vector<std::string>{"\x80"}); }),
      "[]: a string that is not UTF-8; bytes travel as std::vector<char>");
}

/// As outer and inner, with types that let anything through.
struct raw_inner {
  std::vector<char> text;
  std::uint16_t number = 0;
  std::int32_t half = 0;
};
struct raw_outer {
  std::vector<raw_inner> items;
};

std::string decode_outer(const raw_inner& item) {
  message m;
  st::encode(m.root(), raw_outer{.items = {item}});
  return error_of([&] { st::decode<outer>(m.reader()); });
}

TEST(codec, decoding_refuses_by_name) {
  const std::vector<char> good{'o', 'k', '\0'};
  EXPECT_EQ(decode_outer({.text = good}), "no error");
  EXPECT_EQ(decode_outer({.text = {'o', 'k'}}),
            "outer.items[].text: Message contains text that is not NUL-terminated");
  EXPECT_EQ(decode_outer({.text = {'\xed', '\xa0', '\x80', '\0'}}),
            "outer.items[].text: text that is not UTF-8");
  EXPECT_EQ(decode_outer({.text = good, .half = 2'000'000'000}),
            "outer.items[].half: too large to double");

  message m;
  st::encode(m.root(), std::uint16_t{200});
  EXPECT_EQ(error_of([&] { st::decode<small>(m.reader()); }),
            "an enumerator that its C++ type cannot hold");
  EXPECT_EQ(st::decode<sample::sparse>(m.reader()), static_cast<sample::sparse>(200));
  st::encode(m.root(), std::int64_t{1} << 40);
  using minutes32 = std::chrono::duration<std::int32_t, std::ratio<60>>;
  EXPECT_EQ(error_of([&] { st::decode<minutes32>(m.reader()); }),
            "a time that its C++ type cannot hold");
  st::encode(m.root(), std::vector<int>(4));
  using three = std::array<int, 3>;
  EXPECT_EQ(error_of([&] { st::decode<three>(m.reader()); }), "a list of 4 elements where 3 fit");
  EXPECT_EQ(error_of([&] { st::decode<std::vector<std::int64_t>>(m.reader()); }),
            "a list of 4-byte numbers where one of 8-byte numbers belongs");
  EXPECT_EQ(error_of([&] { st::decode<std::vector<std::string>>(m.reader()); }),
            "a list of 4-byte numbers where one of pointers belongs");
  EXPECT_EQ(error_of([&] { st::decode<std::vector<sample::point>>(m.reader()); }),
            "a list of 4-byte numbers where one of structs belongs");
  EXPECT_EQ(error_of([&] { st::decode<sample::point>(m.reader()); }),
            "point: Message contains non-struct pointer where struct pointer was expected");
  st::encode(m.root(), sample::point{});
  EXPECT_NE(error_of([&] { st::decode<std::vector<int>>(m.reader()); }), "no error");
  EXPECT_NE(error_of([&] { st::batch_size(m.reader()); }), "no error");

  st::encode(m.root(), std::variant<std::monostate, int, bool>(true));
  using two = std::variant<std::monostate, int>;
  EXPECT_EQ(error_of([&] { st::decode<two>(m.reader()); }), "member 2 of a union that has fewer");
  EXPECT_EQ(error_of([&] { st::decode<std::optional<int>>(m.reader()); }),
            "member 2 of a union that has fewer");
}

TEST(codec, an_error_leaves_a_sink_with_what_came_before_it) {
  message m;
  st::encode_batch<std::vector<char>>(
      m.root(), std::vector<std::vector<char>>{{'a', '\0'}, {'b'}, {'c', '\0'}});
  std::vector<std::string> got;
  EXPECT_THROW(
      st::decode_batch<std::string>(m.reader(), [&](std::string&& s) { got.push_back(s); }),
      st::codec_error);
  EXPECT_EQ(got, std::vector<std::string>{"a"});
}

TEST(codec, utf8_is_checked_to_the_letter) {
  using namespace std::string_view_literals;
  for (const auto good :
       {""sv, "a\0b"sv, "\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv,
        "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv,
        "eight by\xc3\xa9 and more"sv}) {
    EXPECT_TRUE(sd::is_utf8(good));
  }
  for (const auto bad :
       {"\x80"sv, "\xbf"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xc2"sv, "\xc2\x7f"sv, "\xe0\x9f\xbf"sv,
        "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv, "\xe1\x80"sv, "\xe1\x80\xc0"sv, "\xf0\x8f\xbf\xbf"sv,
        "\xf4\x90\x80\x80"sv, "\xf5\x80\x80\x80"sv, "\xf1\x80\x80"sv, "\xff"sv,
        "eight byte\xe2\x82"sv, "12345678\x80"sv}) {
    EXPECT_FALSE(sd::is_utf8(bad));
  }
}

// -------------------------------------------------------------------------------------------------
// Hostile messages

TEST(codec, lists_of_nothing_do_not_take_memory_without_bound) {
  // Two words that claim 2^29 - 1 structs of no size.
  message m;
  m.root().initAsListOfAnyStruct(0, 0, (1u << 29) - 1);
  EXPECT_LT(m.words().size(), 8u);
  const std::string over = "decodes to more memory than the limit allows";
  const st::decode_limits limits{.memory = 1 << 20};
  EXPECT_EQ(error_of([&] { st::decode<std::vector<sample::record>>(m.reader(), limits); }), over);
  EXPECT_EQ(error_of([&] { st::decode<std::vector<sample::empty>>(m.reader(), limits); }), over);
  EXPECT_EQ(error_of([&] { st::decode_batch<sample::pod64>(m.reader(), [](auto&&) {}, limits); }),
            "pod64: " + over);
  using by_number = std::map<int, int>;
  EXPECT_EQ(error_of([&] { st::decode<by_number>(m.reader(), limits); }), over);
  EXPECT_EQ(error_of([&] { st::decode<std::vector<sample::record>>(m.reader()); }), over)
      << "the default is a limit too";

  // Many small containers share one budget.
  message nested;
  st::encode(nested.root(),
             std::vector<std::vector<std::int64_t>>(100, std::vector<std::int64_t>(100)));
  using matrix = std::vector<std::vector<std::int64_t>>;
  EXPECT_EQ(st::decode<matrix>(nested.reader(), {.memory = 100'000}).size(), 100u);
  EXPECT_EQ(error_of([&] { st::decode<matrix>(nested.reader(), {.memory = 80'000}); }),
            "[]: " + over);
  message text;
  st::encode(text.root(), std::string(1000, 'x'));
  EXPECT_EQ(error_of([&] { st::decode<std::string>(text.reader(), {.memory = 999}); }), over);
}

TEST(codec, nesting_ends_where_the_reader_says) {
  sample::tree deep;
  sample::tree* at = &deep;
  for (int i = 0; i < 200; ++i) at = &at->children.emplace_back();
  message m;
  st::encode(m.root(), deep);
  const auto words = m.words();
  capnp::FlatArrayMessageReader reader(segments_of(words), {.nestingLimit = 64});
  EXPECT_NE(error_of([&] {
              st::decode<sample::tree>(reader.getRoot<capnp::AnyPointer>());
            }).find("too deeply-nested"),
            std::string::npos);
}

/// Decodes `words` as T and, if that gives a value, checks that it is one: it can be sent again.
template <class T>
bool survives(const std::vector<std::uint64_t>& words) {
  try {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 8 * words.size() + 64;
    options.nestingLimit = 32;
    capnp::FlatArrayMessageReader reader(segments_of(words), options);
    const T value =
        st::decode<T>(reader.getRoot<capnp::AnyPointer>(), {.memory = std::uint64_t{4} << 20});
    message first;
    st::encode(first.root(), value);
    const T again = st::decode<T>(first.reader());
    message second;
    st::encode(second.root(), again);
    EXPECT_EQ(first.words().size(), second.words().size());
    return true;
  } catch (const st::codec_error&) {
    return false;
  } catch (const kj::Exception&) {
    return false;  // the reader's own: the segment table
  }
}

template <class T>
void corrupt(value_source& random, std::uint64_t rounds, std::uint64_t& survived,
             std::uint64_t& refused) {
  for (std::uint64_t round = 0; round < rounds; ++round) {
    message m;
    st::encode(m.root(), random.make<T>());
    const auto intact = m.words();
    for (unsigned variant = 0; variant < 10; ++variant) {
      auto words = intact;
      const auto byte = [&](std::uint64_t i) -> unsigned char& {
        return reinterpret_cast<unsigned char*>(words.data())[i];
      };
      switch (random.below(5)) {
        case 0:  // cut short
          words.resize(static_cast<std::size_t>(random.below(words.size())));
          break;
        case 1:  // cut short, with a segment table that agrees
          words.resize(static_cast<std::size_t>(1 + random.below(words.size())));
          reinterpret_cast<std::uint32_t*>(words.data())[1] =
              static_cast<std::uint32_t>(words.size() - 1);
          break;
        case 2:  // lengthened
          words.resize(words.size() + static_cast<std::size_t>(random.below(4)));
          break;
        case 3:  // a few bits
          for (auto n = 1 + random.below(4); n > 0; --n) {
            byte(random.below(words.size() * 8)) ^=
                static_cast<unsigned char>(1u << random.below(8));
          }
          break;
        default:  // a word from elsewhere, which makes pointers to the wrong things
          std::swap(words[static_cast<std::size_t>(random.below(words.size()))],
                    words[static_cast<std::size_t>(random.below(words.size()))]);
          words[static_cast<std::size_t>(random.below(words.size()))] =
              words[static_cast<std::size_t>(random.below(words.size()))];
          break;
      }
      ++(survives<T>(words) ? survived : refused);
    }
  }
}

TEST(codec, corrupted_messages_are_an_error_or_a_value) {
  value_source random(codec_seed());
  std::uint64_t survived = 0, refused = 0;
  corrupt<sample::everything>(random, scaled(500), survived, refused);
  corrupt<sample::scalars>(random, scaled(200), survived, refused);
  corrupt<sample::lists>(random, scaled(500), survived, refused);
  corrupt<sample::unions>(random, scaled(500), survived, refused);
  corrupt<sample::maps>(random, scaled(300), survived, refused);
  corrupt<sample::others>(random, scaled(300), survived, refused);
  corrupt<std::vector<sample::pod64>>(random, scaled(200), survived, refused);
  corrupt<std::vector<std::int64_t>>(random, scaled(200), survived, refused);
  // Both must be common, or the corruption tests nothing.
  EXPECT_GT(survived, refused / 20);
  EXPECT_GT(refused, survived / 20);
}

}  // namespace
