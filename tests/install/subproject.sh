#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a program that has rbcore's checkout as a part of its own project.
# usage: subproject.sh CMAKE CC SOURCE_DIR
set -eu
cmake=$1 cc=$2 source=$3

fail() {
    echo "failed: $*" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# build FOLDER OPTION...: configures with the options, builds, and installs below FOLDER/installed.
build() {
    folder=$1
    shift
    "$cmake" -S "$source/tests/install/subproject" -B "$folder" -DRBCORE_CHECKOUT="$source" \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_UNITY_BUILD=ON "$@" >log 2>&1 &&
        "$cmake" --build "$folder" >log 2>&1 &&
        "$cmake" --install "$folder" --prefix "$work/$folder/installed" >log 2>&1 ||
        { cat log; fail "$folder"; }
    "$folder/installed/bin/app" || fail "$folder: the program"
}
# files FOLDER PATTERN...: the files of these names below a folder.
files() {
    (cd "$1" && find . -type f -name "$2" | sort)
}

# Parts that the program does not use are not built, and only the program is installed.
build plain -DCMAKE_BUILD_TYPE=Release
[ "$(files plain/installed '*')" = ./bin/app ] || fail "installed: $(files plain/installed '*')"
built=$(files plain '*rbcore*.so*' && files plain 'rbcore-run' && files plain 'test_*')
[ -z "$built" ] || fail "built: $built"

# The options add all of it.
build all -DRBCORE_INSTALL=ON -DRBCORE_LIBBPF=ON -DRBCORE_EXAMPLES=ON -DRBCORE_TESTS=OFF
for file in librbcore.so librbcore.a rbcore.h rbcore.pc rbcore-run rbcore-run.1 librbcore-libbpf.so; do
    [ -n "$(find all/installed -name $file)" ] || fail "$file is not installed"
done
[ -n "$(find all -path '*examples*' -name batch)" ] || fail "the examples are not built"
