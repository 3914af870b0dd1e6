#!/bin/sh
# SPDX-License-Identifier: MIT
# Looks at an installed librbcore.so: its names, and what it needs.
# usage: shared_library.sh PREFIX
set -eu
fail() {
    echo "failed: $*" >&2
    exit 1
}
command -v readelf >/dev/null || { echo "skipped: readelf is missing"; exit 77; }

library=$(find "$1" -name librbcore.so)
[ -n "$library" ] || fail "no librbcore.so below $1"
[ "$(readlink "$library")" = librbcore.so.0.3 ] || fail "librbcore.so is no link to librbcore.so.0.3"
dynamic=$(readelf -dW "$library")
entries() { # entries TAG: the values of the dynamic section's entries of this name
    echo "$dynamic" | sed -n "s/.*($1).*\[\(.*\)\]/\1/p"
}

soname=$(entries SONAME)
[ "$soname" = librbcore.so.0.3 ] || fail "SONAME is $soname"
for needed in $(entries NEEDED); do
    case $needed in
    libc.so.* | libc.musl-*) ;;
    *) fail "needs $needed" ;;
    esac
done
for tag in RPATH RUNPATH; do
    [ -z "$(entries $tag)" ] || fail "$tag is $(entries $tag)"
done
! echo "$dynamic" | grep -q TEXTREL || fail "has text relocations"
echo "$soname needs: $(entries NEEDED | tr '\n' ' ')"
