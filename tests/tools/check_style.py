"""Style that a machine can check.

usage: check_style.py format     clang-format 19 would change nothing
       check_style.py co_await   what g++ 12.2 gets wrong: no bare co_await in the condition of an
                                 if, while, for or switch, and no lambda inside a co_await
                                 expression that captures by moving (it is destroyed twice)
"""

import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("include", "tests", "examples", "bench", "tools")
# `auto x = co_await ...` and `auto& [a, b] = co_await ...`: a declaration, which is safe.
DECLARATION = re.compile(r"^\s*(?:const\s+)?[\w:<>,*&\s]+?[\s&*](?:\w+|\[[^\]]*\])\s*=\s*co_await\b")


def sources(*suffixes):
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = sorted(f for f in folders if not f.startswith("build"))
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.join(where, name)


def check_format():
    tool = shutil.which("clang-format-19")
    if not tool:
        print("SKIP: clang-format-19 is not installed")
        sys.exit(77)
    files = list(sources(".hpp", ".cpp"))
    done = subprocess.run(
        [tool, "--dry-run", *files], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=True
    )
    first = {}
    for line in done.stderr.splitlines():
        place = re.match(r"(\S+):(\d+):\d+: warning: code should be clang-formatted", line)
        if place:
            first.setdefault(os.path.relpath(place[1], ROOT), place[2])
    for name, line in first.items():
        print(f"{name}:{line}: clang-format would change this")
    if first:
        sys.exit("run scripts/format")


def blank(match):
    """A comment or literal as spaces, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", match[0])


def code_of(path, text):
    """The C++ of a file, all else blanked; of a Markdown page, its cpp blocks."""
    if path.endswith(".md"):
        text = re.sub(
            r"(?:\A|^```\s*$)(.*?)(?:^```cpp\s*$|\Z)", blank, text, flags=re.DOTALL | re.MULTILINE
        )
    return re.sub(
        r"//[^\n]*|/\*.*?\*/|R\"(\w*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|(?<!\w)'(?:\\.|[^'\\\n])+'",
        blank,
        text,
        flags=re.DOTALL,
    )


def conditions(code):
    """(offset, text) of what stands in the parentheses of each if, while, for and switch."""
    for match in re.finditer(r"\b(if|while|for|switch)\s*(?:constexpr\s*)?\(", code):
        depth, end = 1, match.end()
        while end < len(code) and depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        yield match.end(), code[match.end() : end - 1]


def bare(condition):
    """The parts between semicolons that have a co_await which no declaration names. What stands in
    the braces of a lambda is statements of its own."""
    flat, depth = "", 0
    for char in condition:
        depth -= char == "}"
        flat += char if depth == 0 or char == "}" else " "
        depth += char == "{"
    return [
        part
        for part in flat.split(";")
        if re.search(r"\bco_await\b", part) and not DECLARATION.match(part)
    ]


def moving_captures(code):
    """The offsets of lambdas with a capture `x = std::move(...)` in the expression of a co_await.
    What stands in the braces of a lambda is statements of its own."""
    for match in re.finditer(r"\bco_await\b", code):
        depth, at = 0, match.end()
        while at < len(code) and depth >= 0:
            char = code[at]
            if char in "({":
                depth += 1
            elif char in ")}":
                depth -= 1
            elif char == "[" and re.search(r"[(,{=]\s*$", code[:at]):
                end = code.find("]", at)
                if re.search(r"=\s*(?:std::)?move\(", code[at:end]):
                    yield at
                body = code.find("{", end)
                at, inner = body + 1, 1
                while at < len(code) and inner:
                    inner += {"{": 1, "}": -1}.get(code[at], 0)
                    at += 1
                continue
            elif char == ";" and depth == 0:
                break
            at += 1


def check_co_await():
    pages = [os.path.join(ROOT, "README.md")]
    for where, _, names in os.walk(os.path.join(ROOT, "docs")):
        pages += [os.path.join(where, name) for name in names if name.endswith(".md")]
    found = 0
    for path in [*sources(".hpp", ".cpp"), *filter(os.path.exists, pages)]:
        with open(path, encoding="utf-8") as file:
            code = code_of(path, file.read())
        for offset, condition in conditions(code):
            if bare(condition):
                line = code.count("\n", 0, offset) + 1
                name = os.path.relpath(path, ROOT)
                print(f"{name}:{line}: name the value of the co_await first: {condition.strip()}")
                found += 1
        for offset in moving_captures(code):
            line = code.count("\n", 0, offset) + 1
            print(f"{os.path.relpath(path, ROOT)}:{line}: name the lambda before the co_await")
            found += 1
    sys.exit(1 if found else 0)


def self_test():
    """The rule itself, so that it cannot rot into one that finds nothing."""
    bad = [
        "if (co_await f()) {}",
        "while (!(co_await rx.recv())) {}",
        "switch (co_await f()) {}",
        "if (auto x = g(); co_await f(x)) {}",
        "if (x == co_await f()) {}",
        "for (int i = 0; i < co_await f(); ++i) {}",
    ]
    good = [
        "if (auto x = co_await f()) {}",
        "while (auto j = co_await jobs.take()) {}",
        "while (const auto& [a, b] = co_await f()) {}",
        "if (auto x = co_await f(); x > 1) {}",
        "if (ready()) { co_await f(); }",
        "// if (co_await f())",
        'print("if (co_await f())");',
        "if (st::run([]() -> st::task<> { co_await f(); })) {}",
        "const bool ok = co_await f(); if (ok) {}",
    ]
    for text in bad + good:
        code = code_of("x.cpp", text)
        found = any(bare(condition) for _, condition in conditions(code))
        assert found == (text in bad), text

    owning = [
        "co_await st::scope([end = std::move(tx)](st::group& g) -> st::task<> { co_return; });",
        "auto v = co_await f(1, [&, x = std::move(y)] { return 1; });",
        "co_await f([&] { return 1; }, [x = std::move(y)] {});",
    ]
    fine = [
        "co_await f([&] { go([x = std::move(y)] { return 1; }); });",
        "go([x = std::move(y)]() -> st::task<> { co_await f(); });",
        "co_await f([x = y] { return 1; }); go([x = std::move(y)] {});",
        "auto body = [x = std::move(y)] {}; co_await f(std::move(body));",
    ]
    for text in owning + fine:
        assert any(moving_captures(text)) == (text in owning), text


def main():
    kind = sys.argv[1]
    if kind == "format":
        check_format()
    else:
        self_test()
        check_co_await()


main()
