"""Builds and runs a tiny project that uses strait in one of the ways that README names.

usage: consumer.py STEP --work DIR --source CHECKOUT --cxx COMPILER [--build DIR] [--cmake CMAKE]

install            a copy of the library in WORK/prefix, by the build system of --build
find_package       CMake, against that copy           pkgconfig         a plain compiler call, ditto
add_subdirectory   CMake, the checkout in its tree    fetchcontent      CMake, the checkout fetched
meson_subproject   Meson, the checkout as subproject  same_install      CMake and Meson install the
without_capnp      the core builds, remote is named as                  same files
                   missing, where there is no Cap'n Proto
"""

import argparse
import filecmp
import os
import re
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def call(*command, **options):
    """Runs a command; its output is shown, and the step fails, only when it does."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if done.returncode != 0:
        print("$", shlex.join(command))
        print(done.stdout)
        sys.exit(f"{command[0]} ended with status {done.returncode}")
    return done.stdout


def call_failing(*command):
    """Runs a command that must fail; gives its output as one line."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == 0:
        print(done.stdout)
        sys.exit(f"{shlex.join(command)} must fail and does not")
    return " ".join(done.stdout.split())


def need(tool):
    if not shutil.which(tool):
        print(f"SKIP: {tool} is not installed")
        sys.exit(77)
    return tool


class consumer:
    def __init__(self, options):
        self.options = options
        self.folder = os.path.join(options.work, options.step)
        self.prefix = os.path.join(options.work, "prefix")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)

    def project(self):
        """A copy of the consumer project, so that nothing in the checkout is near by chance."""
        copy = os.path.join(self.folder, "project")
        shutil.copytree(os.path.join(HERE, self.options.step), copy)
        for name in os.listdir(HERE):
            if name.endswith(".cpp"):
                shutil.copy(os.path.join(HERE, name), copy)
        return copy

    def run_programs(self, folder):
        for name in ("core", "remote", "bench"):
            program = os.path.join(folder, name)
            if not os.path.exists(program):
                sys.exit(f"the program {name} was not built")
            said = call(program)
            if said != f"{name}: strait works\n":
                sys.exit(f"the program {name} printed {said!r}")

    def cmake(self, *arguments):
        build = os.path.join(self.folder, "build")
        call(self.options.cmake, "-S", self.project(), "-B", build, "-G", "Ninja",
             f"-DCMAKE_CXX_COMPILER={self.options.cxx}", "-DFETCHCONTENT_FULLY_DISCONNECTED=ON",
             *arguments)
        call(self.options.cmake, "--build", build, "-j", "1")
        self.run_programs(build)

    def meson(self, source, build, *arguments):
        environment = {**os.environ, "CXX": self.options.cxx, "CC": self.c_compiler()}
        call(need("meson"), "setup", build, source, *arguments, env=environment)

    def c_compiler(self):
        return self.options.cxx.replace("clang++", "clang").replace("g++", "gcc")

    def install(self):
        shutil.rmtree(self.prefix, ignore_errors=True)
        if os.path.exists(os.path.join(self.options.build, "meson-info")):
            # The prefix of a configured folder is fixed: a staged install, moved to its place.
            stage = os.path.join(self.folder, "stage")
            call("meson", "install", "-C", self.options.build, "--no-rebuild", "--quiet",
                 "--destdir", stage)
            share = next(where for where, _, names in os.walk(stage) if "strait.pc" in names)
            shutil.move(os.path.dirname(os.path.dirname(share)), self.prefix)
        else:
            call(self.options.cmake, "--install", self.options.build, "--prefix", self.prefix)

    def find_package(self):
        self.cmake(f"-DCMAKE_PREFIX_PATH={self.prefix}")

    def add_subdirectory(self):
        self.cmake(f"-DSTRAIT_CHECKOUT={self.options.source}")

    def fetchcontent(self):
        self.cmake(f"-DSTRAIT_CHECKOUT={self.options.source}")

    def pkgconfig(self):
        need("pkg-config")
        copy = self.project()
        search = os.path.join(self.prefix, "share", "pkgconfig")
        inherited = os.environ.get("PKG_CONFIG_PATH", "")
        environment = {**os.environ,
                       "PKG_CONFIG_PATH": search + (":" + inherited if inherited else "")}
        for name in ("core", "remote", "bench"):
            package = "strait" if name == "core" else "strait-" + name
            flags = call("pkg-config", "--cflags", "--libs", package, env=environment)
            call(self.options.cxx, "-std=c++20", "-o", os.path.join(self.folder, name),
                 os.path.join(copy, name + ".cpp"), *shlex.split(flags))
        self.run_programs(self.folder)

    def meson_subproject(self):
        copy = self.project()
        os.makedirs(os.path.join(copy, "subprojects"))
        os.symlink(self.options.source, os.path.join(copy, "subprojects", "strait"))
        build = os.path.join(self.folder, "build")
        self.meson(copy, build)
        call("ninja", "-C", build, "-j", "1")
        self.run_programs(build)

    def without_capnp(self):
        blind = ["-G", "Ninja", f"-DCMAKE_CXX_COMPILER={self.options.cxx}",
                 "-DCMAKE_DISABLE_FIND_PACKAGE_CapnProto=ON",
                 "-DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON",
                 f"-DCMAKE_PREFIX_PATH={self.prefix}"]
        reason = "Cap'n Proto 0.9 or newer (libcapnp-dev) not found"
        said = call(self.options.cmake, "-S", self.options.source, *blind,
                    "-B", os.path.join(self.folder, "checkout"), "-DSTRAIT_TESTS=OFF")
        if f"no strait::remote target: {reason}" not in said:
            sys.exit("the build does not say why there is no strait::remote:\n" + said)
        copy, build = self.project(), os.path.join(self.folder, "build")
        call(self.options.cmake, "-S", copy, "-B", build, *blind)
        call(self.options.cmake, "--build", build)
        call(os.path.join(build, "core"))
        for component, why in (("remote", reason), ("lemon", "strait has no such component")):
            said = call_failing(self.options.cmake, "-S", copy, *blind,
                                "-B", os.path.join(self.folder, component),
                                f"-DCOMPONENT={component}")
            if f"strait::{component}: {why}" not in said:
                sys.exit(f"find_package does not say why there is no {component}:\n{said}")

    def same_install(self):
        """The copy of `install` against one that the other build system makes."""
        other = os.path.join(self.folder, "prefix")
        build = os.path.join(self.folder, "build")
        if os.path.exists(os.path.join(self.options.build, "meson-info")):
            call(self.options.cmake, "-S", self.options.source, "-B", build, "-G", "Ninja",
                 f"-DCMAKE_CXX_COMPILER={self.options.cxx}", "-DSTRAIT_TESTS=OFF",
                 "-DSTRAIT_EXAMPLES=OFF", "-DSTRAIT_BENCH=OFF")
            call(self.options.cmake, "--install", build, "--prefix", other)
        else:
            self.meson(self.options.source, build, "--prefix", other, "-Dtests=false",
                       "-Dexamples=false", "-Dbench=false")
            call("meson", "install", "-C", build, "--quiet")
        ours, theirs = files_of(self.prefix), files_of(other)
        problems = [f"only one of the two installs {name}" for name in sorted(ours ^ theirs)]
        problems += [
            f"{name} differs"
            for name in sorted(ours & theirs)
            if not filecmp.cmp(os.path.join(self.prefix, name), os.path.join(other, name), False)
        ]
        headers = {
            os.path.join("include", name)
            for name in files_of(os.path.join(self.options.source, "include"))
        }
        problems += [f"{name} is not installed" for name in sorted(headers - ours)]
        text = "\n".join(open(os.path.join(self.prefix, name), encoding="utf-8").read()
                         for name in ours if name.endswith((".pc", ".cmake")))
        problems += [f"a package file holds {path}" for path in
                     re.findall(re.escape(self.options.source) + r"\S*", text)]
        if problems:
            sys.exit("\n".join(problems))


def files_of(root):
    return {
        os.path.relpath(os.path.join(where, name), root)
        for where, _, names in os.walk(root)
        for name in names
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("step")
    for name in ("work", "source", "build", "cxx"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--cmake", default="cmake")
    options = parser.parse_args()
    need(options.cmake)
    getattr(consumer(options), options.step)()


main()
