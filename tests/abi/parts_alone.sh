#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles each part of rbcore.h alone.
# usage: parts_alone.sh INCLUDE_DIR COMPILER [OPTION...]
set -eu
include=$1
shift

tried=0
for path in "$include"/rbcore/*.h; do
    case $path in */rbcore_bpf.h) continue ;; esac
    echo "#include <rbcore/${path##*/}>" | "$@" "-I$include" -
    tried=$((tried + 1))
done
echo "$tried headers"
[ "$tried" -gt 1 ]
