#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs a build and uses it as a stranger would.
# usage: use_installed.sh prefix|destdir|moved CMAKE CC BUILD_DIR SOURCE_DIR
set -eu
case_=$1 cmake=$2 cc=$3 build=$4 source=$5

fail() {
    echo "failed: $*" >&2
    exit 1
}
for tool in pkg-config readelf; do
    command -v $tool >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$source/tests/install/consumer" "$work/consumer"
cd "$work"

# Sets prefix, where the files are, and installed_as, where the build was told they would be.
install_prefix() {
    prefix=$work/prefix installed_as=$work/prefix
    "$cmake" --install "$build" --prefix "$prefix" >install.log
    grep -q "LD_LIBRARY_PATH=$prefix" install.log || fail "it does not say how to run programs"
}
install_moved() {
    prefix=$work/moved/to/here installed_as=$work/first
    "$cmake" --install "$build" --prefix "$work/first" >install.log
    mkdir -p "$work/moved/to"
    mv "$work/first" "$prefix"
}
install_destdir() {
    prefix=$work/destdir/opt/rbcore-test installed_as=$work/destdir
    DESTDIR=$work/destdir "$cmake" --install "$build" --prefix /opt/rbcore-test >install.log
    [ ! -e /opt/rbcore-test ] || fail "the installation went around DESTDIR"
    outside=$(cd "$work/destdir" && find . -type f ! -path './opt/rbcore-test/*')
    [ -z "$outside" ] || fail "outside of the prefix: $outside"
    ! grep LD_LIBRARY_PATH install.log || fail "it says how to run programs from within DESTDIR"
}
install_$case_
pc=$(find "$prefix" -name rbcore.pc)
[ -n "$pc" ] || fail "no rbcore.pc"
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_LIBDIR="$libdir/pkgconfig"

diff -r -x README.md "$source/include" "$prefix/include" || fail "the headers are not those of the source"
# Those that are preloaded are no libraries to link to. (Without RBCORE_LIBBPF there are none.)
if [ -e "$prefix/bin/rbcore-run" ]; then
    for library in librbcore-libbpf.so librbcore-libbpf-dlsym.so; do
        [ "$(find "$prefix" -name $library)" = "$libdir/rbcore/$library" ] || fail "where is $library?"
    done
fi

# -I: debug information may name where it was compiled; files that users read must not.
for path in "$build" "$source" "$installed_as"; do
    if grep -rIlF "$path" "$prefix"; then
        fail "these files name $path"
    fi
done

compile() { # compile PROGRAM ARGUMENTS...
    program=$1
    shift
    "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$program" consumer/consumer.c "$@" ||
        fail "cannot compile $program"
}
needs_rbcore() {
    readelf -d "$1" | grep -q 'NEEDED.*\[librbcore\.so\.0\.3\]'
}
run() { # run PROGRAM: prints what it prints, with its name
    printf '%s: ' "$1"
    "$work/$1" || fail "$1"
}

# --define-prefix takes the folder above the libraries' for the prefix, so it is of no use below
# lib/x86_64-linux-gnu. Without it the file knows where it is.
options=none
[ "$(dirname "$libdir")" != "$prefix" ] || options="none --define-prefix"
for option in $options; do
    [ "$option" != none ] || option=
    # Word splitting is what pkg-config's output is made for.
    # shellcheck disable=SC2046,SC2086
    compile pc_shared $(pkg-config $option --cflags --libs rbcore)
    needs_rbcore pc_shared || fail "pc_shared is not linked to librbcore.so.0.3"
    LD_LIBRARY_PATH=$libdir run pc_shared

    # shellcheck disable=SC2046,SC2086
    compile pc_archive $(pkg-config $option --cflags rbcore) \
        "$(pkg-config $option --variable=libdir rbcore)/librbcore.a"
    ! needs_rbcore pc_archive || fail "pc_archive is linked to librbcore.so.0.3"
    run pc_archive

    # shellcheck disable=SC2046,SC2086
    pkg-config $option --static --libs rbcore | grep -q -e -pthread || fail "no -pthread"
    # shellcheck disable=SC2046,SC2086
    compile pc_static -static $(pkg-config $option --static --cflags --libs rbcore)
    run pc_static
done

"$cmake" -S consumer -B consumer/build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DCMAKE_BUILD_TYPE=Debug >configure.log 2>&1 ||
    { cat configure.log; fail "find_package(rbcore)"; }
"$cmake" --build consumer/build >build.log 2>&1 || { cat build.log; fail "cmake --build"; }
needs_rbcore consumer/build/shared || fail "shared is not linked to librbcore.so.0.3"
! needs_rbcore consumer/build/static || fail "static is linked to librbcore.so.0.3"
run consumer/build/shared
run consumer/build/static
found=$(sed -n 's/^rbcore_DIR:PATH=//p' consumer/build/CMakeCache.txt)
[ "$found" = "$libdir/cmake/rbcore" ] || fail "find_package found $found"
