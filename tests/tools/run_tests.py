"""Builds and runs the tests, and prints one table at the end.

  scripts/test                 one configuration: gcc
  scripts/test --all           gcc, clang (built by Meson), asan, tsan and, if there is time,
                               asan-gcc
  scripts/test NAME...         these configurations, as CMakePresets.json names them, or `meson`
  scripts/test ... -R REGEX    only the tests whose names match
"""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALL = ["gcc", "meson", "asan", "tsan", "asan-gcc"]
# The last of --all is left out when the others took so long that all would take over 40 minutes.
OPTIONAL, OPTIONAL_IF_DONE_BY = "asan-gcc", 26 * 60
JOBS = os.cpu_count() or 1


def run(*command, quiet=None, **options):
    """Runs a command. A quiet one writes to that file, which is shown when the command fails."""
    if quiet is None:
        return subprocess.run(command, cwd=ROOT, check=False, **options).returncode
    with open(quiet, "w", encoding="utf-8") as log:
        status = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False, **options
        ).returncode
    if status != 0:
        with open(quiet, encoding="utf-8", errors="replace") as log:
            sys.stdout.write(log.read())
    return status


class outcome:
    def __init__(self, name):
        self.name, self.started, self.seconds = name, time.monotonic(), 0.0
        self.built = 0.0
        self.tests = self.passed = self.failed = 0
        self.skipped = {}  # reason: how many
        self.failures = []

    def skip(self, reason, count=1):
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def fail(self, what):
        self.failed += 1
        self.failures.append(what)

    def row(self):
        skipped = sum(self.skipped.values())
        return (self.name, self.tests, self.passed, self.failed, skipped,
                f"{self.built:.0f}", f"{self.seconds:.0f}")


def add_gtest(result, path):
    """The cases of one test program. True when there are any: one that crashed writes none."""
    try:
        root = xml.parse(path).getroot()
    except (OSError, xml.ParseError):
        return False
    for case in root.iter("testcase"):
        if case.get("status") == "notrun":
            continue
        result.tests += 1
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            result.fail(name)
        elif skipped is not None:
            message = skipped.get("message") or ""
            result.skip((message.split("\n", 1)[1:] or [message])[0].strip() or name)
        else:
            result.passed += 1
    return True


def add_one(result, folder, name, state, output):
    """One test as ctest or meson ran it; a gtest program counts as its cases."""
    cases = os.path.join(folder, "results", name.replace("/", ".") + ".xml")
    before = result.failed
    if state != "skipped" and add_gtest(result, cases):
        if state == "failed" and result.failed == before:
            result.tests += 1
            result.fail(f"{name} (ended badly)")
        return
    result.tests += 1
    if state == "passed":
        result.passed += 1
    elif state == "failed":
        result.fail(name)
    else:
        reason = re.search(r"SKIP: (.*)", output or "")
        result.skip(reason[1] if reason else f"{name} is not for this configuration")


def cmake(result, filters):
    name = result.name
    folder = os.path.join(ROOT, "build", name)
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, "configure.log")
    if run("cmake", "--preset", name, quiet=log) != 0:
        return result.fail("cmake --preset " + name)
    # Keeps going: what builds is still tested.
    if run("cmake", "--build", folder, "-j", str(JOBS), "--", "-k", "0", "--quiet") != 0:
        result.fail("build")
    result.built = time.monotonic() - result.started
    for old in glob.glob(os.path.join(folder, "results", "*.xml")):
        os.remove(old)
    junit = os.path.join(folder, "ctest.xml")
    if os.path.exists(junit):
        os.remove(junit)
    sanitized = name in ("asan", "tsan", "asan-gcc")
    run("ctest", "--test-dir", folder, "-j", str(JOBS), "--timeout", "1200", "--output-on-failure",
        "--no-tests=error", "--output-junit", junit,
        *(("-LE", "static") if sanitized else ()), *(("-R", filters) if filters else ()))
    try:
        cases = list(xml.parse(junit).getroot().iter("testcase"))
    except (OSError, xml.ParseError):
        return result.fail("ctest")
    for case in cases:
        state = {"run": "passed", "fail": "failed"}.get(case.get("status"), "skipped")
        # A program that could not be built is "not run", and so is one that asks to be skipped.
        why = case.find("skipped")
        if state == "skipped" and why is not None and "SKIP_RETURN_CODE" not in why.get("message"):
            state = "failed"
        add_one(result, folder, case.get("name"), state, case.findtext("system-out"))
    return None


def meson(result, filters, after_cmake):
    """Meson, with clang 19 where it is installed: so each build system has each compiler once."""
    folder = os.path.join(ROOT, "build", "meson")
    os.makedirs(folder, exist_ok=True)
    environment = {**os.environ, "CXX": "g++", "CC": "gcc"}
    if subprocess.call(["sh", "-c", "command -v clang++-19 >/dev/null"]) == 0:
        environment |= {"CXX": "clang++-19", "CC": "clang-19"}
        result.name = "meson (clang)"
    configured = os.path.exists(os.path.join(folder, "build.ninja"))
    log = os.path.join(ROOT, "build", "meson-configure.log")
    again = ["--reconfigure"] if configured else []
    if run("meson", "setup", *again, folder, quiet=log, env=environment) != 0:
        return result.fail("meson setup")
    if run("ninja", "-C", folder, "-j", str(JOBS), "-k", "0", "--quiet") != 0:
        result.fail("build")
    result.built = time.monotonic() - result.started
    for old in glob.glob(os.path.join(folder, "results", "*.xml")):
        os.remove(old)
    lines = os.path.join(folder, "meson-logs", "testlog.json")
    if os.path.exists(lines):
        os.remove(lines)
    names = []
    if filters:
        listed = subprocess.run(["meson", "test", "-C", folder, "--list", "--no-rebuild"], cwd=ROOT,
                                stdout=subprocess.PIPE, text=True, check=False).stdout
        names = [name for name in (line.split(" / ", 1)[-1] for line in listed.splitlines())
                 if re.search(filters, name)]
        if not names:
            return result.fail(f"no test matches {filters}")
    run("meson", "test", "-C", folder, "--no-rebuild", "--num-processes", str(JOBS),
        "--print-errorlogs", *(["--no-suite", "again"] if after_cmake else []), *names)
    try:
        with open(lines, encoding="utf-8") as file:
            entries = [json.loads(line) for line in file]
    except OSError:
        return result.fail("meson test")
    for entry in entries:
        state = {"OK": "passed", "SKIP": "skipped"}.get(entry["result"], "failed")
        name = entry["name"].split(" / ", 1)[-1]
        add_one(result, folder, name, state, entry.get("stdout"))
    return None


def table(results):
    head = ("configuration", "tests", "passed", "failed", "skipped", "build s", "all s")
    rows = [head, *(tuple(str(cell) for cell in result.row()) for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    print()
    for row in rows:
        print(row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:])))
    for result in results:
        for reason, count in sorted(result.skipped.items()):
            print(f"{result.name}: skipped {count}: {reason}")
    for result in results:
        for failure in result.failures:
            print(f"{result.name}: FAILED {failure}")


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    with open(os.path.join(ROOT, "CMakePresets.json"), encoding="utf-8") as file:
        presets = [preset["name"] for preset in json.load(file)["testPresets"]]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*presets, "meson"]))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("-R", dest="filters", metavar="REGEX")
    options = parser.parse_args()
    for name in options.names:
        if name not in [*presets, "meson"]:
            parser.error(f"no configuration '{name}': {', '.join([*presets, 'meson'])}")
    names = options.names or (ALL if options.all else ["gcc"])

    began = time.monotonic()
    results = []
    for name in names:
        result = outcome(name)
        results.append(result)
        done = time.monotonic() - began
        if options.all and name == OPTIONAL and done > OPTIONAL_IF_DONE_BY:
            result.skip(f"the others took {done:.0f} s")
            continue
        print(f"== {name}", flush=True)
        if name == "meson":
            meson(result, options.filters, "gcc" in names)
        else:
            cmake(result, options.filters)
        result.seconds = time.monotonic() - result.started
    table(results)
    print(f"{time.monotonic() - began:.0f} s in all")
    sys.exit(1 if any(result.failed for result in results) else 0)


main()
