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

store() {
    abidw --headers-dir "$include" --drop-private-types --exported-interfaces-only \
        --no-corpus-path --no-comp-dir-path --no-show-locs --no-architecture --no-elf-needed \
        --type-id-style hash "$library" |
        sed "s|path='${include%include}|path='|" >"$baseline"
    echo "stored the ABI of $library in $baseline"
}

check() {
    [ -e "$baseline" ] || { echo "no ABI was stored yet: build the target storeabi"; exit 1; }
    # Any status but 0 is a difference, the harmless ones too: an ABI changes on purpose or not
    # at all.
    if ! abidiff --headers-dir2 "$include" --drop-private-types --no-architecture --no-show-locs \
        --harmless "$baseline" "$library"; then
        echo "The ABI is not the one that was stored. If that is meant, build the target storeabi"
        echo "and commit $baseline with the change."
        exit 1
    fi
    echo "the ABI of $library is the stored one"
}

$action
