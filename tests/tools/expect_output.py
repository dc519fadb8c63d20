"""Runs a program and compares its standard output with a file.

usage: expect_output.py EXPECTED PROGRAM [ARGUMENT...]
"""

import difflib
import subprocess
import sys


def main():
    expected_path, *command = sys.argv[1:]
    try:
        with open(expected_path, encoding="utf-8") as file:
            expected = file.read()
    except OSError as error:
        sys.exit(f"{expected_path}: {error.strerror}: every step has its expected output beside it")
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=100, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"{command[0]} did not end within 100 s")
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with status {done.returncode}")
    actual = done.stdout.decode("utf-8", "replace")
    if actual != expected:
        sys.stdout.writelines(
            difflib.unified_diff(
                expected.splitlines(True), actual.splitlines(True), expected_path, command[0]
            )
        )
        sys.exit(1)


main()
