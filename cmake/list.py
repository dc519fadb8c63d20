"""Lists the programs of this repository for Meson, by the rules of cmake/programs.cmake and
tests/CMakeLists.txt, and the files that tests only compile: one line each,
`kind;name;needs;flags;serial;source,source...`.
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEEDS = {
    name: re.compile(rf"^ *# *include *<{pattern}", re.MULTILINE)
    for name, pattern in (
        ("remote", r"(strait/remote|capnp/|kj/)"),
        ("bench", r"(strait/bench[.]hpp|benchmark/)"),
        ("cli", r"CLI/"),
        ("parser", r"capnp/schema-(parser|loader)[.]h>"),
    )
}
LEFT_OUT = ("tests/consumers/", "tests/compile_fail/", "tests/abi/")


def find(pattern):
    return sorted(glob.glob(pattern, root_dir=ROOT, recursive=True))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def emit(kind, name, sources, headers=()):
    texts = [read(path) for path in [*sources, *headers]]
    needs = [
        name for name, pattern in NEEDS.items() if any(pattern.search(text) for text in texts)
    ]
    if sources[0].startswith("tests/remote/") and "remote" not in needs:
        needs.append("remote")
    flags, serial = "", ""
    for wish in re.findall(r"^// test: (.*)$", texts[0][:2000], re.MULTILINE) * (kind == "test"):
        if wish.startswith("flags="):
            flags = wish[len("flags="):]
        elif wish == "serial":
            serial = "serial"
        else:
            sys.exit(f"{sources[0]}: cannot read '// test: {wish}'")
    print(";".join((kind, name, " ".join(needs), flags, serial, ",".join(sources))))


for header in find("include/**/*.hpp"):
    print(f"header;{header[len('include/'):]};;;;{header}")
for misuse in find("tests/compile_fail/*.cpp"):
    print(f"fail;{os.path.basename(misuse)[:-len('.cpp')]};;;;{misuse}")
for main in find("examples/*/main.cpp"):
    folder = os.path.dirname(main)
    emit("example", os.path.basename(folder), find(folder + "/*.cpp"), find(folder + "/*.hpp"))
for step in find("examples/tour/[0-9][0-9]_*.cpp"):
    emit("tour", os.path.basename(step)[: -len(".cpp")], [step])
for suite in find("bench/*.cpp"):
    folder = suite[: -len(".cpp")]
    sources = [suite, *find(folder + "/*.cpp")]
    emit("bench", os.path.basename(folder), sources, find(folder + "/*.hpp"))
for test in find("tests/**/*_test.cpp"):
    if not test.startswith(LEFT_OUT):
        emit("test", test[len("tests/") : -len("_test.cpp")], [test])
