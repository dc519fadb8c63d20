#include <strait/remote/schema.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "codec_types.hpp"
#include "support.hpp"

namespace {

namespace st = strait;
namespace sd = strait::detail;

struct point {
  std::int32_t x, y;
};
struct job {
  std::uint64_t id;
  std::string text;
  std::optional<std::int32_t> limit;
  std::vector<point> path;
  std::chrono::milliseconds wait;
};

std::string difference(const std::string& here, const std::string& there) {
  return st::first_difference(here, there).value_or("none");
}
template <class Here, class There>
std::string difference() {
  return st::first_difference(st::type_info_of<Here>(), st::type_info_of<There>()).value_or("none");
}

TEST(schema, layout_is_text_that_can_be_read_back) {
  const std::string expected =
      "strait-layout 1\n"
      "= #0\n"
      "#0 job\n"
      "id UInt64\n"
      "text Text\n"
      "limit|0.none Void\n"
      "limit|0.some Int32\n"
      "path List(#1)\n"
      "wait Int64:duration:1/1000\n"
      "#1 point\n"
      "x Int32\n"
      "y Int32\n";
  EXPECT_EQ(st::type_info_of<job>().layout, expected);
  EXPECT_EQ(st::type_info_of<job>().name, "job");
  std::string problem;
  const auto graph =
      sd::layout_parser::parse(st::type_info_of<sample::everything>().layout, problem);
  ASSERT_TRUE(graph) << problem;
  EXPECT_EQ(sd::layout_text(*graph, true), st::type_info_of<sample::everything>().layout);
  EXPECT_EQ(st::type_info_of<int>().layout, "strait-layout 1\n= Int32\n");
}

TEST(schema, prints_a_file_for_other_languages) {
  const std::string text = st::schema_text<job>();
  const std::string fingerprint = st::fingerprint<job>().hex();
  EXPECT_NE(text.find("# Layout fingerprint " + fingerprint + ".\n"), std::string::npos) << text;
  EXPECT_NE(text.find("struct Job {\n"
                      "  id @0 :UInt64;\n"
                      "  text @1 :Text;\n"
                      "  limit :union {\n"
                      "    none @2 :Void;\n"
                      "    some @3 :Int32;\n"
                      "  }\n"
                      "  path @4 :List(Point);\n"
                      "  wait @5 :Int64;  # duration, in 1/1000 s\n"
                      "}\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  list @0 :List(Job);\n"), std::string::npos) << text;
}

// Names that a .capnp file cannot have as they are.
struct text {
  int my_value, myValue, UPPER, _leading, a__b;
};
struct items {
  text text_;
  std::vector<std::optional<int>> list;
};
struct Reader {
  items which;
  std::variant<int, int, text, text, std::monostate> same;
};
struct list {
  Reader reader;
  std::map<std::string, std::map<std::string, int>> data;
};
enum class none_of_zero { one = 1 };
enum class void_ { void_, bool_, Bool };
struct odd_enums {
  none_of_zero a;
  void_ b;
  std::vector<void_> c;
};

/// Runs the capnp tool over the schema; 0 if it likes it, or -1 without the tool.
int capnp_compile(const std::string& schema) {
  if (std::system("capnp --version > /dev/null 2>&1") != 0) return -1;
  const auto file = std::filesystem::temp_directory_path() /
                    ("strait_schema_" + std::to_string(std::random_device{}()) + ".capnp");
  std::ofstream(file) << schema;
  const int status = std::system(("capnp compile -o- '" + file.string() + "' > /dev/null").c_str());
  std::filesystem::remove(file);
  return status;
}

TEST(schema, is_compiled_by_the_capnp_tool_whatever_the_names) {
  if (capnp_compile("@0xbf5147cbbecf40c1;\n") == -1) GTEST_SKIP() << "no capnp tool";
  EXPECT_NE(capnp_compile("nonsense"), 0);
  for (const std::string& schema :
       {st::schema_text<list>(), st::schema_text<odd_enums>(), st::schema_text<text>(),
        st::schema_text<int>(), st::schema_text<std::string>(),
        st::schema_text<std::optional<int>>(),
        st::schema_text<std::vector<std::vector<std::pair<int, bool>>>>(),
        st::schema_text<sample::everything>(), st::schema_text<sample::empty>()}) {
    EXPECT_EQ(capnp_compile(schema), 0) << schema;
  }
}

// -------------------------------------------------------------------------------------------------
// Fingerprints

TEST(schema, fingerprint_is_fnv1a_128) {
  EXPECT_EQ(sd::fnv1a_128("").hex(), "6c62272e07bb014262b821756295c58d");
  EXPECT_EQ(sd::fnv1a_128("a").hex(), "d228cb696f1a8caf78912b704e4a8964");
  EXPECT_EQ(sd::fnv1a_128("foobar").hex(), "343e1662793c64bf6f0d3597ba446f18");
}

namespace other_names {
struct place {
  std::int32_t east, north;
};
struct task {
  std::uint64_t number;
  std::string what;
  std::optional<std::int32_t> most;
  std::vector<place> way;
  std::chrono::duration<std::int64_t, std::milli> delay;
};
}  // namespace other_names
struct swapped {
  std::string text;
  std::uint64_t id;
};
struct unswapped {
  std::uint64_t id;
  std::string text;
};
struct other_unit {
  std::chrono::seconds wait;
};
struct one_unit {
  std::chrono::milliseconds wait;
};

TEST(schema, fingerprint_sees_types_order_and_units_but_no_names) {
  EXPECT_EQ(st::fingerprint<job>(), st::fingerprint<other_names::task>());
  EXPECT_NE(st::fingerprint<swapped>(), st::fingerprint<unswapped>());
  EXPECT_NE(st::fingerprint<other_unit>(), st::fingerprint<one_unit>());
  EXPECT_NE(st::fingerprint<int>(), st::fingerprint<unsigned>());
  EXPECT_NE(st::fingerprint<std::vector<int>>(), st::fingerprint<int>());
  EXPECT_EQ(st::fingerprint<sample::uuid>(), st::fingerprint<std::string>());
  // A constant, because two builds must agree on it.
  EXPECT_EQ(st::fingerprint<job>().hex(), "a5421e08a2df8c830e7cec441c0c0e69");
}

// -------------------------------------------------------------------------------------------------
// Comparing

struct job_longer {
  std::uint64_t id;
  std::string text;
  std::optional<std::int32_t> limit;
  std::vector<sample::tree> path;
};
struct job_other_text {
  std::uint64_t id;
  std::int64_t text;
};
struct job_no_union {
  std::uint64_t id;
  std::string text;
  std::int32_t limit;
};
struct point3 {
  std::int32_t x, y, z;
};
struct job_appended {
  std::uint64_t id;
  std::string text;
  std::optional<std::int32_t> limit;
  std::vector<point3> path;
  std::chrono::milliseconds wait;
  std::string more;
};
struct point_double {
  std::int32_t x;
  double y;
};
struct job_double {
  std::uint64_t id;
  std::string text;
  std::optional<std::int32_t> limit;
  std::vector<point_double> path;
};
struct forest {
  std::int32_t value;
  std::vector<forest> children;
  std::string name;
};
struct ends_in_two {
  std::variant<int, bool> last;
};
struct ends_in_three {
  std::variant<int, bool, std::string> last;
};

TEST(schema, difference_names_the_first_field) {
  EXPECT_EQ((difference<job, job>()), "none");
  EXPECT_EQ((difference<job, other_names::task>()), "none");
  EXPECT_EQ((difference<job, job_other_text>()), "job.text (field 1): Text here, Int64 there");
  EXPECT_EQ((difference<job_other_text, job>()),
            "job_other_text.text (field 1): Int64 here, Text there");
  EXPECT_EQ((difference<job, job_no_union>()),
            "job.limit.none (field 2): member of union 0, Void here, Int32 there");
  EXPECT_EQ((difference<job, job_double>()), "job.path[].y (field 1): Int32 here, Float64 there");
  EXPECT_EQ((difference<job, job_longer>()),
            "job.path[].y (field 1): Int32 here, List(struct tree) there");
  EXPECT_EQ((difference<other_unit, one_unit>()),
            "other_unit.wait (field 0): Int64:duration:1/1 here, Int64:duration:1/1000 there");
  EXPECT_EQ((difference<int, std::string>()), "value: Int32 here, Text there");
  EXPECT_EQ((difference<job, int>()), "value: struct job here, Int32 there");
  EXPECT_EQ((difference<std::vector<std::string>, std::vector<int>>()),
            "value: List(Text) here, List(Int32) there");
}

TEST(schema, appended_fields_are_no_difference) {
  EXPECT_EQ((difference<job, job_appended>()), "none");
  EXPECT_EQ((difference<job_appended, job>()), "none");
  EXPECT_EQ((difference<sample::tree, forest>()), "none");
  EXPECT_EQ((difference<sample::empty, job>()), "none");
  EXPECT_EQ((difference<ends_in_two, ends_in_three>()), "none");
  EXPECT_NE(st::fingerprint<job>(), st::fingerprint<job_appended>());
}

// -------------------------------------------------------------------------------------------------
// Texts from a stranger

TEST(schema, layouts_that_cannot_be_read_say_which_line) {
  const std::string here = st::type_info_of<job>().layout;
  const std::string head = "strait-layout 1\n= #0\n";
  const auto unreadable = [&](const std::string& there) { return difference(here, there); };
  const std::string start = "the layout there cannot be read: ";
  EXPECT_EQ(unreadable(""), start + "line 0: not a layout of version 1");
  EXPECT_EQ(unreadable("strait-layout 2\n= #0\n"), start + "line 1: not a layout of version 1");
  EXPECT_EQ(unreadable("strait-layout 1\n"), start + "line 1: no type of a value");
  EXPECT_EQ(unreadable("strait-layout 1\n= \n"), start + "line 2: not a type");
  EXPECT_EQ(unreadable(head), start + "line 2: not a type");
  EXPECT_EQ(unreadable(head + "#1 a\n"), start + "line 3: records are numbered from 0");
  EXPECT_EQ(unreadable(head + "#0 a\nid\n"), start + "line 4: a field without a type");
  EXPECT_EQ(unreadable(head + "#0 a\nid Int\x1b[2J\n"), start + "line 4: not a type");
  EXPECT_EQ(unreadable(head + "#0 a\nid #7\n"), start + "line 4: not a type");
  EXPECT_EQ(unreadable(head + "#0 a\nid #00\n"), start + "line 4: not a type");
  EXPECT_EQ(unreadable(head + "#0 a\nid|x.y Int32\n"), start + "line 4: not a union's number");
  EXPECT_EQ(unreadable(head + "#0 a\nid|0 Int32\n"), start + "line 4: not a union's member");
  EXPECT_EQ(unreadable(head + "#0 a\n\nid Int32\n"), start + "line 3: an empty line");
  EXPECT_EQ(unreadable(head + "#0 a\nid Int32"), start + "line 3: an empty line");
  EXPECT_EQ(unreadable(head + "#0 a\nid List()\n"), start + "line 4: not a type");
  EXPECT_EQ(unreadable(std::string(300 << 10, 'x')), start + "line 0: longer than 256 KiB");
  std::string lists = "Int32";
  for (int i = 0; i < 33; ++i) lists = "List(" + lists + ")";
  EXPECT_EQ(unreadable(head + "#0 a\nid " + lists + "\n"), start + "line 4: not a type");
}

TEST(schema, a_chain_of_records_without_end_is_refused) {
  // A long list of records, each of which holds the next, against one that holds itself.
  std::string there = "strait-layout 1\n= #0\n";
  for (int i = 0; i < 5000; ++i) {
    there +=
        "#" + std::to_string(i) + " n\nv Int32\nc List(#" + std::to_string((i + 1) % 5000) + ")\n";
  }
  const std::string text = difference(st::type_info_of<sample::tree>().layout, there);
  EXPECT_NE(text.find("records nested more than 256 deep"), std::string::npos) << text;
}

TEST(schema, corrupted_layouts_are_an_answer) {
  std::mt19937_64 random(std::random_device{}());
  const std::string here = st::type_info_of<sample::everything>().layout;
  const std::string pieces[] = {"#", "List(", ")", "\n", " ", "|", ".", "0", "= ", "Int32", "\xff"};
  std::uint64_t readable = 0, unreadable = 0;
  for (std::uint64_t round = 0; round < strait_test::scaled(5'000); ++round) {
    std::string there = here;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      const auto at = static_cast<std::size_t>(random() % there.size());
      switch (random() % 3) {
        case 0: there[at] = static_cast<char>(random()); break;
        case 1: there.insert(at, pieces[random() % std::size(pieces)]); break;
        default: there.erase(at, 1 + random() % 20); break;
      }
      if (there.empty()) there = here;
    }
    const bool bad = difference(here, there).find("cannot be read") != std::string::npos;
    ++(bad ? unreadable : readable);
  }
  EXPECT_GT(readable, 0u);
  EXPECT_GT(unreadable, 0u);
}

}  // namespace
