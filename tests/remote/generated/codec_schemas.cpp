// Random aggregates (random_types.py): the schema that strait prints for each is compiled by Cap'n
// Proto's own compiler, in this process, and messages built through that schema are compared byte
// for byte with the codec's.
#include <strait/remote/codec.hpp>
#include <strait/remote/schema.hpp>
// Nothing of Cap'n Proto may come before the codec's headers.
#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/schema-parser.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <kj/filesystem.h>

#include <cstdio>
#include <string>
#include <utility>

#include "random_types.hpp"
#include "remote/codec_random.hpp"
#include "support.hpp"

namespace {

namespace st = strait;
namespace sd = strait::detail;
using capnp::DynamicEnum;
using capnp::DynamicList;
using capnp::DynamicStruct;
using capnp::DynamicValue;

/// A place for a value: a field of a struct, or an element of a list.
struct field_slot {
  DynamicStruct::Builder owner;
  capnp::StructSchema::Field field;

  capnp::Type type() const { return field.getType(); }
  void set(const DynamicValue::Reader& value) { owner.set(field, value); }
  DynamicStruct::Builder make_struct() { return owner.init(field).as<DynamicStruct>(); }
  DynamicList::Builder make_list(unsigned size) {
    return owner.init(field, size).as<DynamicList>();
  }
};

struct element_slot {
  DynamicList::Builder owner;
  unsigned index;

  capnp::Type type() const { return owner.getSchema().getElementType(); }
  void set(const DynamicValue::Reader& value) { owner.set(index, value); }
  DynamicStruct::Builder make_struct() { return owner[index].as<DynamicStruct>(); }
  DynamicList::Builder make_list(unsigned size) {
    return owner.init(index, size).as<DynamicList>();
  }
};

template <class R, class V>
void put_fields(DynamicStruct::Builder out, const V& value);

/// Everything but a union that is a field.
template <class T, class Slot>
void put(Slot slot, const T& value) {
  using sd::kind;
  using R = sd::rep_t<T>;
  constexpr kind k = sd::kind_of<R>;
  if constexpr (sd::has_wire<T>) {
    put<R>(slot, sd::as_rep<T>(value));
  } else if constexpr (k == kind::enumeration) {
    const auto number = static_cast<std::uint16_t>(value);
    if (slot.type().isEnum()) {
      slot.set(DynamicEnum(slot.type().asEnum(), number));
    } else {
      slot.set(number);
    }
  } else if constexpr (k == kind::boolean) {
    slot.set(value);
  } else if constexpr (sd::is_scalar<R>) {
    slot.set(sd::to_scalar(value));
  } else if constexpr (k == kind::text) {
    slot.set(capnp::Text::Reader(value.data(), value.size()));
  } else if constexpr (k == kind::data) {
    slot.set(
        capnp::Data::Reader(reinterpret_cast<const unsigned char*>(value.data()), value.size()));
  } else if constexpr (k == kind::list || k == kind::map) {
    auto list = slot.make_list(static_cast<unsigned>(value.size()));
    unsigned i = 0;
    for (const auto& element : value) {
      if constexpr (k == kind::map) {
        put_fields<sd::element_t<R>>(list[i].template as<DynamicStruct>(), element);
      } else {
        put<typename R::value_type>(element_slot{list, i}, element);
      }
      ++i;
    }
  } else {
    put_fields<R>(slot.make_struct(), value);
  }
}

template <class M>
void put_member(DynamicStruct::Builder group, std::size_t index, const M& value) {
  const field_slot slot{group, group.getSchema().getFields()[static_cast<unsigned>(index)]};
  if constexpr (std::is_same_v<M, std::monostate>) {
    field_slot(slot).set(capnp::VOID);
  } else {
    put<M>(slot, value);
  }
}

template <class F>
void put_field(field_slot slot, const F& value) {
  if constexpr (sd::kind_of<F> == sd::kind::optional) {
    auto group = slot.make_struct();
    if (value) {
      put_member(group, 1, *value);
    } else {
      put_member(group, 0, std::monostate{});
    }
  } else if constexpr (sd::kind_of<F> == sd::kind::variant) {
    auto group = slot.make_struct();
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((value.index() == I ? put_member(group, I, *std::get_if<I>(&value)) : void()), ...);
    }(std::make_index_sequence<std::variant_size_v<F>>{});
  } else {
    put<F>(slot, value);
  }
}

template <class R, class V>
void put_fields(DynamicStruct::Builder out, const V& value) {
  unsigned i = 0;
  sd::record<R>::visit(value, [&](const auto&... fields) {
    (put_field(field_slot{out, out.getSchema().getFields()[i++]}, fields), ...);
  });
}

std::string bytes_of(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

template <class T>
void compare(strait_test::value_source& values) {
  const std::string schema = st::schema_text<T>();
  auto files = kj::newInMemoryDirectory(kj::nullClock());
  const kj::Path path("schema.capnp");
  files->openFile(path, kj::WriteMode::CREATE)->writeAll(schema.c_str());
  capnp::SchemaParser parser;
  const auto parsed = parser.parseFromDirectory(*files, path.clone(), nullptr);
  // The root is the first record that the file declares.
  const std::size_t at = schema.find("struct ") + 7;
  const std::string name = schema.substr(at, schema.find(' ', at) - at);
  const auto root = parsed.getNested(name.c_str()).asStruct();
  for (unsigned round = 0; round < 12; ++round) {
    const T value = round == 0 ? T{} : values.make<T>();
    capnp::MallocMessageBuilder expected(1u << 18);
    put_fields<T>(expected.initRoot<DynamicStruct>(root), value);
    capnp::MallocMessageBuilder ours(1u << 18);
    st::encode(ours.getRoot<capnp::AnyPointer>(), value);
    ASSERT_EQ(bytes_of(expected), bytes_of(ours)) << schema;
    const T back = st::decode<T>(expected.getRoot<capnp::AnyPointer>().asReader());
    capnp::MallocMessageBuilder again(1u << 18);
    st::encode(again.getRoot<capnp::AnyPointer>(), back);
    ASSERT_EQ(bytes_of(expected), bytes_of(again)) << schema;
    ASSERT_EQ(ours.getSegmentsForOutput()[0].size(), st::encoded_words(value) + 1) << schema;
  }
  EXPECT_EQ(st::first_difference(st::type_info_of<T>().layout, st::type_info_of<T>().layout),
            std::nullopt);
}

template <class... Ts>
void compare_all(strait_test::value_source& values, sd::type_list<Ts...>) {
  static_assert(sizeof...(Ts) >= 100);
  (compare<Ts>(values), ...);
}

TEST(codec_schemas, of_random_aggregates_compile_and_have_the_compilers_layout) {
  std::printf("schemas: STRAIT_SCHEMA_SEED=%llu\n", random_types::seed);
  strait_test::value_source values(strait_test::codec_seed());
  compare_all(values, random_types::all{});
}

}  // namespace
