// The codec against code that the capnp compiler generated from codec_types.capnp, which is what
// schema_text<sample::everything>() prints: the same random values must give the same bytes.
#include <strait/remote/codec.hpp>
#include <strait/remote/schema.hpp>
// Nothing of Cap'n Proto may come before the codec's headers.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "codec_types.capnp.h"
#include "remote/codec_random.hpp"
#include "remote/codec_types.hpp"
#include "support.hpp"

namespace {

namespace st = strait;
using strait_test::codec_seed;
using strait_test::scaled;
using strait_test::value_source;

template <class List, class Range>
void set_scalars(List list, const Range& values) {
  unsigned i = 0;
  for (const auto& value : values) list.set(i++, value);
}

capnp::Text::Reader text(const std::string& value) { return {value.data(), value.size()}; }

template <class Bytes>
capnp::Data::Reader blob(const Bytes& value) {
  return {reinterpret_cast<const unsigned char*>(value.data()), value.size()};
}

void fill(Point::Builder out, const sample::point& in) {
  out.setX(in.x);
  out.setY(in.y);
}

void fill(Scalars::Builder out, const sample::scalars& in) {
  out.setB0(in.b0);
  out.setI8(in.i8);
  out.setB1(in.b1);
  out.setI64(in.i64);
  out.setU16(in.u16);
  out.setShade(static_cast<Color>(in.shade));
  out.setF32(in.f32);
  out.setU8(in.u8);
  out.setB2(in.b2);
  out.setF64(in.f64);
  out.setI16(in.i16);
  out.setU32(in.u32);
  out.setI32(in.i32);
  out.setU64(in.u64);
  out.setP(static_cast<Plain>(in.p));
  out.setS(static_cast<std::uint16_t>(in.s));
  out.setC(static_cast<unsigned char>(in.c));
  out.setRaw(static_cast<unsigned char>(in.raw));
}

void fill(Pod64::Builder out, const sample::pod64& in) {
  out.setA(in.a);
  out.setB(in.b);
  out.setC(in.c);
  out.setD(in.d);
  out.setE(in.e);
  out.setF(in.f);
  out.setG(in.g);
  out.setH(in.h);
  out.setI(in.i);
  out.setJ(in.j);
  out.setK(in.k);
  out.setL(in.l);
  out.setM(in.m);
  out.setN(in.n.count());
}

void fill(Times::Builder out, const sample::times& in) {
  out.setTimeout(in.timeout.count());
  out.setAt(in.at.time_since_epoch().count());
  out.setMinutes(in.minutes.count());
  out.setExact(in.exact.count());
}

void fill(Record::Builder out, const sample::record& in) {
  out.setId(in.id);
  out.setText(text(in.text));
  set_scalars(out.initValues(static_cast<unsigned>(in.values.size())), in.values);
}

template <class Range>
unsigned count(const Range& range) {
  return static_cast<unsigned>(range.size());
}

void fill(Lists::Builder out, const sample::lists& in) {
  set_scalars(out.initBits(count(in.bits)), in.bits);
  set_scalars(out.initShorts(count(in.shorts)), in.shorts);
  auto texts = out.initTexts(count(in.texts));
  for (unsigned i = 0; i < texts.size(); ++i) texts.set(i, text(in.texts[i]));
  auto blobs = out.initBlobs(count(in.blobs));
  for (unsigned i = 0; i < blobs.size(); ++i) blobs.set(i, blob(in.blobs[i]));
  auto matrix = out.initMatrix(count(in.matrix));
  for (unsigned i = 0; i < matrix.size(); ++i) {
    set_scalars(matrix.init(i, count(in.matrix[i])), in.matrix[i]);
  }
  auto cube = out.initCube(count(in.cube));
  for (unsigned i = 0; i < cube.size(); ++i) {
    auto plane = cube.init(i, count(in.cube[i]));
    for (unsigned j = 0; j < plane.size(); ++j) {
      auto row = plane.init(j, count(in.cube[i][j]));
      for (unsigned k = 0; k < row.size(); ++k) row.set(k, text(in.cube[i][j][k]));
    }
  }
  auto points = out.initPoints(count(in.points));
  for (unsigned i = 0; i < points.size(); ++i) fill(points[i], in.points[i]);
  auto records = out.initRecords(count(in.records));
  for (unsigned i = 0; i < records.size(); ++i) fill(records[i], in.records[i]);
  auto colors = out.initColors(count(in.colors));
  for (unsigned i = 0; i < colors.size(); ++i) colors.set(i, static_cast<Color>(in.colors[i]));
  auto durations = out.initDurations(count(in.durations));
  for (unsigned i = 0; i < durations.size(); ++i) durations.set(i, in.durations[i].count());
  set_scalars(out.initThree(3), in.three);
  out.setId(blob(in.id));
  out.setBytes(blob(in.bytes));
  set_scalars(out.initOrdered(count(in.ordered)), in.ordered);
}

void fill(Unions::Builder out, const sample::unions& in) {
  out.setBefore(in.before);
  if (in.maybe_int) {
    out.getMaybeInt().setSome(*in.maybe_int);
  } else {
    out.getMaybeInt().setNone();
  }
  if (in.maybe_bool) {
    out.getMaybeBool().setSome(*in.maybe_bool);
  } else {
    out.getMaybeBool().setNone();
  }
  if (in.maybe_text) {
    out.getMaybeText().setSome(text(*in.maybe_text));
  } else {
    out.getMaybeText().setNone();
  }
  switch (auto choice = out.getChoice(); in.choice.index()) {
    case 0: choice.setNone(); break;
    case 1: choice.setBool(std::get<1>(in.choice)); break;
    case 2: choice.setInt64(std::get<2>(in.choice)); break;
    case 3: choice.setText(text(std::get<3>(in.choice))); break;
    case 4: fill(choice.initPoint(), std::get<4>(in.choice)); break;
    default: choice.setUint16(std::get<5>(in.choice)); break;
  }
  out.setAfter(in.after);
  if (in.number.index() == 0) {
    out.getNumber().setFloat32(std::get<0>(in.number));
  } else {
    out.getNumber().setFloat64(std::get<1>(in.number));
  }
  if (in.maybe_point) {
    fill(out.getMaybePoint().initSome(), *in.maybe_point);
  } else {
    out.getMaybePoint().setNone();
  }
  if (!in.twice) {
    out.getTwice().setNone();
  } else if (auto item = out.getTwice().initSome(); *in.twice) {
    item.getValue().setSome(**in.twice);
  } else {
    item.getValue().setNone();
  }
  auto holes = out.initHoles(count(in.holes));
  for (unsigned i = 0; i < holes.size(); ++i) {
    if (in.holes[i]) {
      holes[i].getValue().setSome(*in.holes[i]);
    } else {
      holes[i].getValue().setNone();
    }
  }
  if (in.odd.index() == 0) {
    const auto& texts = std::get<0>(in.odd);
    auto list = out.getOdd().initList(count(texts));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, text(texts[i]));
  } else if (auto item = out.getOdd().initOddItem(); std::get<1>(in.odd)) {
    item.getValue().setSome(static_cast<Color>(*std::get<1>(in.odd)));
  } else {
    item.getValue().setNone();
  }
  out.setLast(in.last);
}

void fill(Maps::Builder out, const sample::maps& in) {
  auto counts = out.initCounts(count(in.counts));
  unsigned i = 0;
  for (const auto& [key, value] : in.counts) {
    auto entry = counts[i++];
    entry.setKey(text(key));
    entry.setValue(value);
  }
  auto words = out.initWords(count(in.words));
  i = 0;
  for (const auto& [key, value] : in.words) {
    auto entry = words[i++];
    entry.setKey(key);
    auto list = entry.initValue(count(value));
    for (unsigned j = 0; j < list.size(); ++j) list.set(j, text(value[j]));
  }
  auto places = out.initPlaces(count(in.places));
  i = 0;
  for (const auto& [key, value] : in.places) {
    auto entry = places[i++];
    entry.setKey(key);
    if (value) {
      fill(entry.getValue().initSome(), *value);
    } else {
      entry.getValue().setNone();
    }
  }
}

void fill(Tree::Builder out, const sample::tree& in) {
  out.setValue(in.value);
  auto children = out.initChildren(count(in.children));
  for (unsigned i = 0; i < children.size(); ++i) fill(children[i], in.children[i]);
}

void fill(Others::Builder out, const sample::others& in) {
  out.setId(text(std::to_string(in.id.value())));
  auto ids = out.initIds(count(in.ids));
  for (unsigned i = 0; i < ids.size(); ++i) ids.set(i, text(std::to_string(in.ids[i].value())));
  if (in.parent) {
    out.getParent().setSome(text(std::to_string(in.parent->value())));
  } else {
    out.getParent().setNone();
  }
  out.setHalf(in.half.value() / 2);
  auto both = out.initBoth();
  both.setFirst(in.both.first);
  both.setSecond(text(in.both.second));
  auto some = out.initSome();
  some.setF0(std::get<0>(in.some));
  fill(some.initF1(), std::get<1>(in.some));
  some.setF2(std::get<2>(in.some));
  out.initNone();
  out.initNothing();
  out.initNothings(count(in.nothings));
  fill(out.initRoot(), in.root);
}

void fill(Everything::Builder out, const sample::everything& in) {
  fill(out.initScalars(), in.scalars);
  fill(out.initPod(), in.pod);
  fill(out.initTimes(), in.times);
  fill(out.initRecord(), in.record);
  fill(out.initLists(), in.lists);
  fill(out.initUnions(), in.unions);
  fill(out.initMaps(), in.maps);
  fill(out.initOthers(), in.others);
}

/// Large enough for one segment: where a second one begins depends on the caller, not on the codec.
constexpr unsigned first_segment = 1u << 18;

std::string bytes_of(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

template <class Generated, class T>
void compare_messages(const char* name) {
  value_source values(codec_seed());
  const std::uint64_t rounds = scaled(1000);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const T value = values.make<T>();
    capnp::MallocMessageBuilder expected(first_segment);
    fill(expected.initRoot<Generated>(), value);
    capnp::MallocMessageBuilder ours(first_segment);
    st::encode(ours.getRoot<capnp::AnyPointer>(), value);
    ASSERT_EQ(bytes_of(expected), bytes_of(ours)) << name << ", round " << round;
    ASSERT_EQ(ours.getSegmentsForOutput()[0].size(), st::encoded_words(value) + 1) << name;
    const T back = st::decode<T>(expected.getRoot<capnp::AnyPointer>().asReader());
    ASSERT_TRUE(back == value) << name << ", round " << round;
  }
}

TEST(codec_bytes, equal_those_of_generated_code) {
  compare_messages<Scalars, sample::scalars>("scalars");
  compare_messages<Pod64, sample::pod64>("pod64");
  compare_messages<Times, sample::times>("times");
  compare_messages<Record, sample::record>("record");
  compare_messages<Lists, sample::lists>("lists");
  compare_messages<Unions, sample::unions>("unions");
  compare_messages<Maps, sample::maps>("maps");
  compare_messages<Others, sample::others>("others");
  compare_messages<Everything, sample::everything>("everything");
}

TEST(codec_bytes, of_a_batch_equal_those_of_a_generated_list) {
  value_source values(codec_seed());
  for (std::uint64_t round = 0; round < scaled(300); ++round) {
    std::vector<sample::everything> batch(static_cast<std::size_t>(values.below(8)));
    for (auto& value : batch) value = values.make<sample::everything>();
    capnp::MallocMessageBuilder expected(first_segment);
    auto list = expected.initRoot<Items>().initList(count(batch));
    for (unsigned i = 0; i < list.size(); ++i) fill(list[i], batch[i]);

    capnp::MallocMessageBuilder ours(first_segment);
    auto items = ours.getRoot<capnp::AnyPointer>().initAsAnyStruct(0, 1).getPointerSection()[0];
    const std::span<const sample::everything> all(batch);
    const auto half = static_cast<std::size_t>(values.below(batch.size() + 1));
    st::encode_batch<sample::everything>(items, all.first(half), all.subspan(half));
    ASSERT_EQ(bytes_of(expected), bytes_of(ours)) << "round " << round;
    ASSERT_EQ(ours.getSegmentsForOutput()[0].size(), st::encoded_batch_words(all) + 2);
  }
}

TEST(codec_bytes, the_schema_in_the_tree_is_the_one_that_is_printed) {
  const char* const root = std::getenv("STRAIT_SOURCE_DIR");
  if (root == nullptr) GTEST_SKIP() << "STRAIT_SOURCE_DIR is not set";
  std::ifstream file(std::string(root) + "/tests/remote/generated/codec_types.capnp");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), st::schema_text<sample::everything>())
      << "replace tests/remote/generated/codec_types.capnp by the second text";
}

}  // namespace
