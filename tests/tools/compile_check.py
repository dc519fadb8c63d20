"""Compiles one file as the build compiles tests/main.cpp, without making anything of it.

usage: compile_check.py header COMPILE_COMMANDS HEADER   a header alone, twice included, is clean;
                                                         not done again while nothing changed
       compile_check.py fail   COMPILE_COMMANDS SOURCE   must fail, and its first error must match
                                                         the first line, `// expect: REGEX`
       compile_check.py link   COMPILE_COMMANDS          two units with all public headers link
       compile_check.py readme COMPILE_COMMANDS          the first C++ of README.md compiles
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def base_command(commands_path):
    """The compiler and flags of tests/main.cpp, less its inputs and outputs."""
    with open(commands_path, encoding="utf-8") as file:
        entries = json.load(file)
    for entry in entries:
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        if path == os.path.join(ROOT, "tests", "main.cpp"):
            break
    else:
        sys.exit(f"{commands_path} does not compile tests/main.cpp")
    words = shlex.split(entry["command"]) if "command" in entry else entry["arguments"]
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-MT"):
            skip = True
        elif word not in ("-c", "-MD") and not word.endswith("main.cpp"):
            kept.append(word)
    return kept + ["-I" + os.path.join(ROOT, "include")], entry["directory"]


def compile_only(commands_path, source, *flags):
    command, directory = base_command(commands_path)
    return subprocess.run(
        [*command, *flags, "-fsyntax-only", source],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )


def state_of(paths):
    """When each file was written and how long it is."""
    return {path: [os.stat(path).st_mtime_ns, os.stat(path).st_size] for path in paths}


def is_unchanged(stamp, command):
    """Whether the last success that `stamp` tells of was of this command on these very files."""
    try:
        with open(stamp, encoding="utf-8") as file:
            before = json.load(file)
        return before["command"] == command and before["files"] == state_of(before["files"])
    except (OSError, ValueError, KeyError):
        return False


def check_header(commands_path, header):
    if header.startswith("strait/remote") and not have("capnp/rpc-twoparty.h", commands_path):
        print("SKIP: Cap'n Proto is not installed")
        sys.exit(77)
    if header == "strait/bench.hpp" and not have("benchmark/benchmark.h", commands_path):
        print("SKIP: Google Benchmark is not installed")
        sys.exit(77)
    command, directory = base_command(commands_path)
    stamp = os.path.join(directory, "header-checks", header.replace("/", ".") + ".json")
    if is_unchanged(stamp, command):
        print("unchanged since it last compiled")
        return
    with tempfile.TemporaryDirectory() as folder:
        unit, depends = os.path.join(folder, "unit.cpp"), os.path.join(folder, "unit.d")
        with open(unit, "w", encoding="utf-8") as file:
            file.write(f"#include <{header}>\n#include <{header}>\n")
        done = compile_only(commands_path, unit, "-MD", "-MF", depends)
        if done.returncode != 0:
            print(done.stdout)
            sys.exit(f"{header} does not compile alone, without a warning")
        with open(depends, encoding="utf-8") as file:
            words = file.read().replace("\\\n", " ").split()
    os.makedirs(os.path.dirname(stamp), exist_ok=True)
    with open(stamp, "w", encoding="utf-8") as file:
        files = [os.path.normpath(os.path.join(directory, word)) for word in words[1:]]
        json.dump({"command": command,
                   "files": state_of(f for f in files if os.path.basename(f) != "unit.cpp")}, file)


def check_link(commands_path):
    include = os.path.join(ROOT, "include")
    headers = sorted(
        os.path.relpath(os.path.join(where, name), include)
        for where, _, names in os.walk(include)
        for name in names
        if name.endswith(".hpp") and "detail" not in where.split(os.sep)
    )
    if not have("capnp/rpc-twoparty.h", commands_path):
        headers = [header for header in headers if not header.startswith("strait/remote")]
    if not have("benchmark/benchmark.h", commands_path):
        headers.remove("strait/bench.hpp")
    command, _ = base_command(commands_path)
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for name in ("a", "b"):
            source = os.path.join(folder, name + ".cpp")
            with open(source, "w", encoding="utf-8") as file:
                file.writelines(f"#include <{header}>\n" for header in headers)
                file.write(f"int {name}_is_here() {{ return 0; }}\n")
            objects.append(os.path.join(folder, name + ".o"))
            if subprocess.call([*command, "-O0", "-c", source, "-o", objects[-1]]) != 0:
                sys.exit("the public headers do not compile together")
        # Partial: what the libraries would define may stay open, what is defined twice may not.
        done = subprocess.call([command[0], "-r", "-nostdlib", *objects, "-o",
                                os.path.join(folder, "both.o")])
        if done != 0:
            sys.exit("two units that include the public headers do not link: what lacks `inline`?")


# What the program of README.md leaves to the reader.
README_PRELUDE = """
#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>
#include <strait/strait.hpp>
using namespace std::chrono_literals;
inline std::vector<std::string> split(const std::string& text) { return {text}; }
inline void handle(const auto&) {}
inline constexpr auto feed = [](auto jobs) -> strait::task<> { co_await jobs.send(1u, "a b"); };
"""


def check_readme(commands_path):
    if not have("capnp/rpc-twoparty.h", commands_path):
        print("SKIP: Cap'n Proto is not installed")
        sys.exit(77)
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        code = re.search(r"^```cpp\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)[1]
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as unit:
        unit.write(README_PRELUDE + code)
        unit.flush()
        done = compile_only(commands_path, unit.name)
    if done.returncode != 0:
        print(done.stdout)
        sys.exit("the C++ of README.md does not compile")


def have(header, commands_path):
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as unit:
        unit.write(f"#if !__has_include(<{header}>)\n#error no\n#endif\n")
        unit.flush()
        return compile_only(commands_path, unit.name).returncode == 0


def check_fail(commands_path, source):
    with open(source, encoding="utf-8") as file:
        first = file.readline()
    wanted = re.match(r"// expect: (.+)$", first)
    if not wanted:
        sys.exit(f"{source}: the first line must be '// expect: REGEX'")
    done = compile_only(commands_path, source)
    if done.returncode == 0:
        sys.exit(f"{source} compiles, and must not")
    error = next((line for line in done.stdout.splitlines() if "error: " in line), "(no error line)")
    if not re.search(wanted[1], error):
        print(done.stdout)
        sys.exit(f"{source}: the first error is\n  {error}\nand does not match\n  {wanted[1]}")


def main():
    kind, commands_path, *what = sys.argv[1:]
    {"header": check_header, "fail": check_fail, "link": check_link,
     "readme": check_readme}[kind](commands_path, *what)


main()
