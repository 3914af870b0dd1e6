#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a program as each version did that is kept here, and runs it with the present library.
# usage: older.sh CC LIBRARY FOLDER
set -eu
cc=$1 library=$2 folder=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# build VERSION: the library of that version is empty functions with the names that it exported.
build() {
    kept=$folder/older-$1
    soname=librbcore.so.$1
    functions=$(sed -n 's/^ *\(rbcore_[a-z_]*\);$/\1/p' "$kept.map")
    for name in $functions; do echo "void $name(void) {}"; done >"$scratch/empty.c"
    {
        for name in $functions; do echo "extern void $name(void);"; done
        echo 'void (*volatile every[])(void) = {'
        for name in $functions; do echo "    $name,"; done
        echo '};'
    } >"$scratch/every.c"
    "$cc" -shared -fPIC -Wl,-soname,"$soname" -Wl,--version-script="$kept.map" \
        "$scratch/empty.c" -o "$scratch/$soname"
    # `every` refers to each function: one that is missing is noticed when the program starts.
    "$cc" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -DRBCORE_HEADER="\"$kept.h\"" \
        "$folder/older.c" "$scratch/every.c" -Wl,-z,now "$scratch/$soname" -o "$scratch/program"
    ln -sf "$library" "$scratch/$soname"
}

for kept in "$folder"/older-*.map; do
    version=${kept##*/older-}
    version=${version%.map}
    build "$version"
    LD_LIBRARY_PATH=$scratch "$scratch/program" || {
        echo "failed: a program of version $version, with $library"
        exit 1
    }
    echo "a program of version $version runs"
done
