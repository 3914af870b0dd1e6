#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the names of the ABI wherever they are written down.

names.py exports    rbcore.h's functions == the symbol map == what librbcore.so exports, and what
                    librbcore.a defines is these and names that begin with rbcore_ or rbc_
names.py table      rbcore.h's functions, with their signatures, and constants == abi_table.h's,
                    and rbcore.h has nothing that a foreign language cannot use
names.py includes   rbcore.h and its parts include nothing but each other, stddef.h and stdint.h
"""
import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

try:
    from pycparser import c_ast, c_parser
except ImportError:
    print("skipped: python3-pycparser is missing")
    sys.exit(77)

Args = argparse.Namespace
Result = tuple[list[str], str]  # what is wrong, and a summary if nothing is

INCLUDES = {"stddef.h", "stdint.h"}
OURS = re.compile(r"/rbcore/\w+\.h$")
PREFIXES = ("rbcore_", "rbc_")
LETTERS = {"void": "v", "int": "i", "int32_t": "i", "unsigned int": "u", "uint32_t": "u",
           "int64_t": "l", "size_t": "z"}
HANDLES = {"rbcore_reader": "R", "rbcore_producer": "W", "rbcore_snapshot": "S"}


def output(*command: str, text: str | None = None) -> str:
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def preprocess(args: Args, text: str, *options: str) -> str:
    # Extensions of the libc headers, which the parser does not know and the ABI does not use.
    defines = ("-D__attribute__(x)=", "-D__extension__=", "-D__float128=double")
    return output(args.cc, "-E", "-x", "c", "-std=c11", "-I", args.include, *defines, *options, "-",
                  text=text)


def letter(node: c_ast.Node, is_result: bool) -> str:
    """The letter of abi_table.h for the type of a result or an argument; ? for no type of ours."""
    if not isinstance(node, c_ast.PtrDecl):
        return LETTERS.get(" ".join(node.type.names), "?")
    target = getattr(node.type, "type", None)
    if not isinstance(target, c_ast.IdentifierType):
        return "p" if isinstance(node.type, c_ast.PtrDecl) else "?"
    name = " ".join(target.names)
    return "s" if is_result and name == "char" else HANDLES.get(name, "p")


def signature(function: c_ast.FuncDecl) -> str:
    arguments = "".join(letter(p.type, False) for p in function.args.params)
    return letter(function.type, True) + ("" if arguments == "v" else arguments)


def parse_header(args: Args) -> list[c_ast.Node]:
    tree = c_parser.CParser().parse(preprocess(args, "#include <rbcore/rbcore.h>\n", "-P"))
    return list(tree.ext)


def header_functions(args: Args) -> dict[str, str]:
    """The functions that rbcore.h declares: name -> signature."""
    return {d.name: signature(d.type) for d in parse_header(args)
            if isinstance(d, c_ast.Decl) and isinstance(d.type, c_ast.FuncDecl)}


def header_strangers(args: Args) -> list[str]:
    """Names that only a C compiler can use: functions with a body, variables, enums."""
    definitions = [d.decl.name for d in parse_header(args) if isinstance(d, c_ast.FuncDef)]
    declarations = [d for d in parse_header(args) if isinstance(d, c_ast.Decl)]
    return definitions + [d.name or "enum" for d in declarations
                          if isinstance(d.type, (c_ast.TypeDecl, c_ast.ArrayDecl, c_ast.Enum))]


def header_constants(args: Args) -> set[str]:
    macros = preprocess(args, "#include <rbcore/rbcore.h>\n", "-dM")
    names = set(re.findall(r"^#define (RBCORE_\w+) .", macros, re.MULTILINE))
    return {n for n in names if not n.endswith("_INIT")} - {"RBCORE_API", "RBCORE_RBCORE_H"}


def map_functions(path: str) -> dict[str, str]:
    """The functions of the symbol map: name -> version."""
    text = re.sub(r"#.*|/\*.*?\*/", "", Path(path).read_text())
    nodes = re.findall(r"([\w.]+)\s*\{(.*?)\}", text, re.DOTALL)
    return {symbol: version for version, body in nodes
            for symbol in re.findall(r"(\w+)\s*;", body)}


def shared_exports(path: str) -> dict[str, str]:
    """The exports of the shared library: name -> version."""
    symbols = [line.split() for line in output("nm", "-D", "--defined-only", path).splitlines()]
    names = [s[-1].partition("@") for s in symbols if s[-2] != "A"]
    return {name: version.lstrip("@") for name, _, version in names}


def static_symbols(path: str) -> dict[str, str]:
    """The global symbols that the static library defines: name -> visibility."""
    fields = [line.split() for line in output("readelf", "-sW", path).splitlines()]
    return {f[7]: f[5] for f in fields
            if len(f) == 8 and f[4] in ("GLOBAL", "WEAK") and f[6] != "UND"}


def differences(name_a: str, a: Iterable[str], name_b: str, b: Iterable[str]) -> list[str]:
    lines = [f"{n}: in {name_a}, not in {name_b}" for n in sorted(set(a) - set(b))]
    return lines + [f"{n}: in {name_b}, not in {name_a}" for n in sorted(set(b) - set(a))]


def check_exports(args: Args) -> Result:
    header = header_functions(args)
    symbol_map = map_functions(args.map)
    shared = shared_exports(args.shared)
    static = static_symbols(args.static)
    visible = {n for n, visibility in static.items() if visibility == "DEFAULT"}
    found = differences("rbcore.h", header, "the symbol map", symbol_map)
    found += differences("the symbol map", symbol_map, "librbcore.so", shared)
    found += [f"{n}: version {symbol_map[n]} in the symbol map, {shared[n]} in librbcore.so"
              for n in sorted(set(symbol_map) & set(shared)) if symbol_map[n] != shared[n]]
    found += differences("rbcore.h", header, "the visible symbols of librbcore.a", visible)
    # Hidden symbols of an archive collide with the user's names all the same.
    found += [f"{n}: librbcore.a defines it without the prefix {' or '.join(PREFIXES)}"
              for n in sorted(static) if not n.startswith(PREFIXES)]
    return found, f"{len(header)} functions, {len(static)} global symbols in librbcore.a"


def check_table(args: Args) -> Result:
    rows = preprocess(args, '#include "abi_table.h"\n#define F(n, s) F rbcore_##n s\n'
                      "#define C(n, v) C RBCORE_##n\nABI_FUNCTIONS(F) ABI_CONSTANTS(C)\n",
                      "-P", "-I", args.table)
    # In rbcore.h an optional pointer is a pointer.
    table = {n: s.replace("o", "p") for n, s in re.findall(r'F (\w+) "(\w+)"', rows)}
    constants = set(re.findall(r"\bC (\w+)", rows))
    header = header_functions(args)
    found = differences("rbcore.h", header, "abi_table.h", table)
    found += [f"{n}: signature {header[n]} in rbcore.h, {table[n]} in abi_table.h"
              for n in sorted(set(header) & set(table)) if header[n] != table[n]]
    found += differences("rbcore.h", header_constants(args), "abi_table.h", constants)
    found += [f"{n}: not callable from other languages" for n in header_strangers(args)]
    return found, f"{len(table)} functions, {len(constants)} constants"


def check_includes(args: Args) -> Result:
    """Follows the preprocessor's line markers: "1" enters a file, "2" returns to it."""
    text = preprocess(args, "#include <rbcore/rbcore.h>\n")
    stack = [""]
    included = set()
    for path, flag in re.findall(r'^# \d+ "([^"]*)" ([12])', text, re.MULTILINE):
        if flag == "2":
            stack.pop()
            continue
        if OURS.search(stack[-1]) and not OURS.search(path):
            included.add(path.rpartition("/")[2])
        stack.append(path)
    return differences("rbcore.h", included, "the list of allowed headers", INCLUDES), \
        "rbcore.h includes " + ", ".join(sorted(included))


CHECKS = {"exports": check_exports, "table": check_table, "includes": check_includes}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--cc", default="cc", help="the compiler, to preprocess with")
    parser.add_argument("--include", required=True, help="the folder that holds rbcore/rbcore.h")
    parser.add_argument("--table", help="the folder that holds abi_table.h")
    parser.add_argument("--map", help="the symbol map")
    parser.add_argument("--shared", help="librbcore.so")
    parser.add_argument("--static", help="librbcore.a")
    args = parser.parse_args()
    found, summary = CHECKS[args.check](args)
    print("\n".join(found) if found else summary)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
