#!/bin/sh
# SPDX-License-Identifier: MIT
# The README's first build, with a C compiler, make and CMake and nothing else.
# usage: first_build.sh CMAKE CC SOURCE_DIR
set -eu
cmake=$1 cc=$2 source=$3

fail() {
    echo "failed: $*" >&2
    exit 1
}
command -v make >/dev/null || { echo "skipped: make is missing"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The PATH has what Debian's gcc, make and coreutils have, and CMake looks nowhere else.
mkdir bin
for tool in make sh as ld ar ranlib nm; do
    ln -s "$(command -v $tool)" bin/
done
ln -s "$(command -v "$cc")" bin/cc
# There are ones that do not work: Ubuntu's bpftool for another kernel, a clang that lacks BPF.
for tool in bpftool clang; do
    printf '#!/bin/sh\nexit 2\n' >bin/$tool && chmod +x bin/$tool
done
# run COMMAND...
run() {
    env -i PATH="$work/bin" HOME="$work" DESTDIR="$work/installed" "$@" >log 2>&1 || { cat log; fail "$*"; }
}

run "$cmake" -S "$source" -B build -G "Unix Makefiles" -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF
grep -q '^-- Not built: most of the tests\. Missing packages .*: pkg-config check libcap-dev python3' log ||
    { cat log; fail "it does not say what the tests need"; }
grep -q '^-- Not built: examples that load BPF programs\. Missing packages .*: pkg-config clang bpftool libbpf-dev' log ||
    { cat log; fail "it does not say what the examples need"; }
grep -q '^CMAKE_BUILD_TYPE:STRING=RelWithDebInfo$' build/CMakeCache.txt || fail "it is not optimized"
! grep -q -e -Werror build/compile_commands.json || fail "warnings are errors"

run "$cmake" --build build -j 2
! grep -i 'warning' log || fail "it is built with warnings"
run "$cmake" --install build
for file in librbcore.so librbcore.a rbcore-run librbcore-libbpf.so librbcore-libbpf-dlsym.so; do
    [ -n "$(find installed -name $file)" ] || fail "$file is not installed"
done
build/examples/c/batch -d 1 batch.txt || fail "an example"
