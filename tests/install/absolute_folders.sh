#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs where a folder of libraries is given as a path of its own, as NixOS and others do.
# usage: absolute_folders.sh CMAKE CC SOURCE_DIR
set -eu
cmake=$1 cc=$2 source=$3

fail() {
    echo "failed: $*" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

{
    "$cmake" -S "$source" -B build -DCMAKE_C_COMPILER="$cc" -DCMAKE_INSTALL_PREFIX="$work/prefix" \
        -DCMAKE_INSTALL_LIBDIR="$work/libraries" -DRBCORE_TESTS=OFF -DRBCORE_EXAMPLES=OFF &&
        "$cmake" --build build -j 2 && "$cmake" --install build
} >log 2>&1 || { cat log; fail "it cannot be built and installed"; }
[ -f libraries/librbcore.so ] || fail "the library is not there"

[ -x prefix/bin/rbcore-run ] || { echo "skipped: there is no rbcore-run here"; exit 77; }
prefix/bin/rbcore-run -q env >environment || fail "rbcore-run does not find its libraries"
grep -q "^LD_PRELOAD=$work/libraries/rbcore/librbcore-libbpf\.so\$" environment ||
    { cat environment; fail "rbcore-run has found others"; }
