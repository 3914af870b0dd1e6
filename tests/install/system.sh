#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs a build into /usr/local, in a mount namespace that has its own: what is linked to the
# library then runs without further ado.
# usage: system.sh CMAKE CC BUILD_DIR SOURCE_DIR
set -eu
cmake=$1 cc=$2 build=$3 source=$4

fail() {
    echo "failed: $*" >&2
    exit 1
}
if [ "${5:-}" != inside ]; then
    unshare -m true 2>/dev/null || { echo "skipped: only root may have a mount namespace"; exit 77; }
    command -v ldconfig >/dev/null || { echo "skipped: ldconfig is missing"; exit 77; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp -a /etc "$work/etc"
    work=$work unshare -m sh "$0" "$@" inside
    exit
fi

mount --bind "$work/etc" /etc
mount -t tmpfs tmpfs /usr/local
[ ! -d /var/cache/ldconfig ] || mount -t tmpfs tmpfs /var/cache/ldconfig
mkdir /usr/local/lib
cd "$work"
"$cmake" --install "$build" --prefix /usr/local >log || { cat log; fail "it cannot be installed"; }
! grep ldconfig log || fail "ldconfig is left to the user"
"$cc" "$source/tests/install/consumer/consumer.c" -I/usr/local/include -L/usr/local/lib -lrbcore \
    -o consumer
./consumer || fail "the program does not run"
