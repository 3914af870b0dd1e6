#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the ABI of a built librbcore.so with the stored one, or stores it.
# usage: abi.sh check|store LIBRARY INCLUDE_DIR BASELINE
set -eu
action=$1 library=$2 include=$3 baseline=$4

for tool in abidw abidiff readelf; do
    command -v $tool >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done
readelf -SW "$library" | grep -q '\.debug_info' ||
    { echo "skipped: $library was built without debug information (-g)"; exit 77; }
# clang's debug information gives the .c file the number 0, and abidw takes what is defined there,
# such as a handle, for public.
! readelf -p .comment "$library" | grep -q clang ||
    { echo "skipped: $library was compiled by clang, the stored ABI is from gcc"; exit 77; }

# What is inside the handles is no part of the ABI, and neither is where the library was built.
describe() { # describe FILE
    abidw --headers-dir "$include" --drop-private-types --exported-interfaces-only \
        --no-corpus-path --no-comp-dir-path --no-show-locs --no-architecture --no-elf-needed \
        --type-id-style hash --out-file "$1" "$library"
    sed -i "s|path='${include%include}|path='|" "$1"
}

store() {
    describe "$baseline"
    echo "stored the ABI of $library in $baseline"
}

# Compares two descriptions made in the same way: abidiff of a stored description and a library,
# told to ignore private types, ignores changed fields too.
check() {
    [ -e "$baseline" ] || { echo "no ABI was stored yet: build the target storeabi"; exit 1; }
    built=$(mktemp)
    trap 'rm -f "$built"' EXIT
    describe "$built"
    # --harmless: an ABI changes on purpose or not at all.
    if ! abidiff --harmless "$baseline" "$built"; then
        echo "The ABI is not the one that was stored. If that is meant, build the target storeabi"
        echo "and commit $baseline with the change."
        exit 1
    fi
    echo "the ABI of $library is the stored one"
}

$action
