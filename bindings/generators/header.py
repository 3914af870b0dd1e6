# SPDX-License-Identifier: MIT
"""This parses rbcore.h into data: its constants, structs and functions, each with its comment."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

try:
    from pycparser import c_ast, c_generator, c_parser
except ImportError:
    print("skipped: pycparser is missing (python3-pycparser)")
    sys.exit(77)

TYPES = """typedef unsigned long size_t; typedef unsigned char uint8_t; typedef unsigned short uint16_t;
typedef unsigned int uint32_t; typedef unsigned long uint64_t; typedef int int32_t;
typedef long int64_t;"""
LONGEST = {"UINT64_MAX": 2**64 - 1}


@dataclass
class Field:
    name: str
    type: str
    doc: str


@dataclass
class Struct:
    name: str
    doc: str
    fields: list[Field]


@dataclass
class Function:
    name: str
    doc: str
    parameters: list[tuple[str, str]]
    result: str
    declaration: str


@dataclass
class Constant:
    name: str
    value: int
    doc: str


@dataclass
class Header:
    constants: list[Constant] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)


class Comments:
    """Holds the comments of the header, found by where they stand."""

    def __init__(self, text: str) -> None:
        self.above: dict[int, str] = {}  # by the line that follows
        self.beside: dict[int, str] = {}  # by the line of their first character
        for match in re.finditer(r"/\*(.*?)\*/", text, re.DOTALL):
            words = re.sub(r"^[ \t]*\*?[ ]?", "", match[1], flags=re.MULTILINE).strip()
            first = text.count("\n", 0, match.start()) + 1
            last = first + match[0].count("\n")
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if before.strip():
                self.beside[first] = " ".join(words.split())
            else:
                self.above[last + 1] = words


def blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def without_preprocessor(text: str) -> str:
    """Returns what the parser reads: C alone, each line where it was."""
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", blank, text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.MULTILINE)
    return text.replace("RBCORE_API ", "           ")


def value_of(expression: str) -> int:
    number = re.fullmatch(r"\(?(?:U?INT\d+_C\()?(-?(?:0x[0-9a-f]+|\d+))\)*", expression)
    return int(number[1], 0) if number else LONGEST[expression]


def constants_of(text: str, comments: Comments) -> list[Constant]:
    found = []
    for match in re.finditer(r"^#define (RBCORE_\w+) (?!__attribute)(\S+)", text, re.MULTILINE):
        name, expression = match[1], match[2]
        if expression == "\\" or name.endswith(("_H", "_INIT")):
            continue
        line = text.count("\n", 0, match.start()) + 1
        doc = comments.beside.get(line, comments.above.get(line, ""))
        found.append(Constant(name, value_of(expression), doc))
    return found


def struct_of(declaration: c_ast.Typedef, comments: Comments) -> Struct:
    generator = c_generator.CGenerator()
    fields = []
    for member in declaration.type.type.decls:
        line = member.coord.line
        doc = comments.beside.get(line, comments.above.get(line, ""))
        fields.append(Field(member.name, generator.visit(member.type), doc))
    line = declaration.type.type.coord.line
    return Struct(declaration.name, comments.above.get(line, ""), fields)


def function_of(declaration: c_ast.Decl, comments: Comments) -> Function:
    generator = c_generator.CGenerator()
    parameters = []
    for parameter in declaration.type.args.params:
        if parameter.name:
            kind = generator.visit(parameter.type)
            kind = re.sub(rf"\b{parameter.name}\b", "", kind).strip()
            parameters.append((parameter.name, kind))
    result = generator.visit(declaration.type.type).replace(declaration.name, "").strip()
    line = declaration.coord.line
    return Function(
        declaration.name,
        comments.above.get(line, ""),
        parameters,
        result,
        generator.visit(declaration) + ";",
    )


def parse(text: str) -> Header:
    comments = Comments(text)
    header = Header(constants=constants_of(text, comments))
    # The types come on lines of their own, which then do not count.
    types = TYPES.replace("\n", " ") + "\n#line 1\n"
    tree = c_parser.CParser().parse(types + without_preprocessor(text), "rbcore.h")
    generator = c_generator.CGenerator()
    for item in tree.ext:
        if not item.name.startswith("rbcore_"):
            continue
        header.declarations.append(generator.visit(item) + ";")
        if isinstance(item.type, c_ast.FuncDecl):
            header.functions.append(function_of(item, comments))
        elif item.type.type.decls is None:
            header.handles.append(item.name)
        else:
            header.structs.append(struct_of(item, comments))
    return header
