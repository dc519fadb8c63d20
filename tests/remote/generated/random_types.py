#!/usr/bin/env python3
"""Writes random C++ aggregates, and a list of them, for codec_schemas.cpp.

usage: random_types.py OUTPUT.hpp [COUNT [SEED]]

The seed is the third argument, or STRAIT_SCHEMA_SEED, or 1; the file says which it was.
"""
import os
import random
import sys

SCALARS = [
    "bool", "bool", "std::int8_t", "std::int16_t", "std::int32_t", "std::int64_t", "std::uint8_t",
    "std::uint16_t", "std::uint32_t", "std::uint64_t", "float", "double", "char", "std::byte",
    "sample::color", "sample::plain", "sample::sparse", "std::chrono::milliseconds",
    "std::chrono::system_clock::time_point",
]
POINTERS = ["std::string", "std::vector<std::byte>", "std::array<std::uint8_t, 5>", "sample::point",
            "sample::tree", "sample::uuid"]
# Few, because every container of another type is more to compile.
ELEMENTS = ["bool", "std::int16_t", "std::uint64_t", "double", "sample::color", "std::string",
            "std::vector<std::byte>", "sample::point", "sample::scalars", "std::optional<bool>",
            "std::variant<std::int8_t, std::string, double>"]
KEYS = ["std::int32_t", "std::string"]


class Types:
    def __init__(self, rng):
        self.rng = rng
        self.made = []

    def scalar(self):
        return self.rng.choice(SCALARS)

    def plain(self):
        """A scalar or a simple pointer, of the kind that may be anywhere."""
        if self.rng.random() < 0.7:
            return self.scalar()
        # An earlier aggregate now and then: the nesting of the whole stays small.
        small = [name for name, fields in self.made if fields <= 6]
        if small and self.rng.random() < 0.3:
            return self.rng.choice(small)
        return self.rng.choice(POINTERS)

    def union(self):
        if self.rng.random() < 0.6:
            return f"std::optional<{self.plain()}>"
        members = ["std::monostate"] if self.rng.random() < 0.3 else []
        members += [self.plain() for _ in range(self.rng.randint(2 - len(members), 5))]
        return f"std::variant<{', '.join(members)}>"

    def field(self):
        dice = self.rng.random()
        if dice < 0.55:
            return self.scalar()
        if dice < 0.68:
            return self.rng.choice(POINTERS)
        if dice < 0.85:
            return self.union()
        inner = self.rng.choice(ELEMENTS)
        if dice < 0.95:
            return f"std::vector<{inner}>"
        if dice < 0.97:
            return f"std::vector<std::vector<{inner}>>"
        if dice < 0.985:
            return f"std::map<{self.rng.choice(KEYS)}, {inner}>"
        return f"std::tuple<{self.plain()}, {self.plain()}>"

    def aggregate(self, index):
        count = self.rng.choice([1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 14])
        if index == 50:
            count = 48
        name = f"t{index}"
        lines = [f"struct {name} {{"]
        for i in range(count):
            lines.append(f"  {self.field()} f_{i}{{}};")
        lines.append("};")
        self.made.append((name, count))
        return "\n".join(lines)


def main():
    output = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 104
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(os.environ.get("STRAIT_SCHEMA_SEED", "1"))
    types = Types(random.Random(seed))
    bodies = [types.aggregate(i) for i in range(count)]
    with open(output, "w", encoding="ascii") as out:
        out.write("#pragma once\n#include \"remote/codec_types.hpp\"\n")
        out.write(f"namespace random_types {{\ninline constexpr unsigned long long seed = {seed};\n")
        out.write("\n".join(bodies))
        names = ", ".join(f"t{i}" for i in range(count))
        out.write(f"\nusing all = strait::detail::type_list<{names}>;\n}}\n")


if __name__ == "__main__":
    main()
