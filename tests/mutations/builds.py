# SPDX-License-Identifier: MIT
"""Builds mutants: the changed object anew, and what is linked of it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

from mutations import ROOT, Edit, apply

SOURCES = ("capi", "bindings/libbpf")
SHARED = "capi/librbcore.so."


class BuildFailed(Exception):
    """What the compiler said."""


def run(command: list[str], directory: Path) -> str:
    result = subprocess.run(command, check=False, cwd=directory, text=True, capture_output=True)
    if result.returncode != 0:
        raise BuildFailed(f"{shlex.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


class Builder:
    def __init__(self, build: Path) -> None:
        self.build_directory = build
        entries = json.loads((build / "compile_commands.json").read_text())
        self.compile_commands: dict[str, list[str]] = {}
        for entry in entries:
            path = Path(entry["file"])
            # The object of the static library does for the shared one as well.
            if path.is_relative_to(ROOT) and "/rbcore.dir/" not in entry["command"]:
                self.compile_commands[str(path.relative_to(ROOT))] = shlex.split(entry["command"])
        self.link_commands: dict[str, list[str]] = {}
        self.lock = threading.Lock()

    # ---- What is affected ----

    def sources_of(self, file: str) -> list[str]:
        """The sources to compile anew: the changed one, or those that include the changed header."""
        if file.endswith(".c"):
            return [file]
        folder = ROOT / Path(file).parent
        texts = {path.name: path.read_text() for path in folder.glob("*.[ch]")}
        changed = {Path(file).name}
        before = 0
        while before != len(changed):
            before = len(changed)
            names = "|".join(re.escape(name) for name in changed)
            include = re.compile(rf'^#include "(?:{names})"', re.MULTILINE)
            changed |= {name for name, text in texts.items() if include.search(text)}
        sources = [str((folder / name).relative_to(ROOT)) for name in changed if name.endswith(".c")]
        return sorted(source for source in sources if source in self.compile_commands)

    def link_command(self, target: str) -> list[str]:
        """How ninja links it: the last command of those that build it."""
        with self.lock:
            if target not in self.link_commands:
                lines = run(["ninja", "-t", "commands", target], self.build_directory).splitlines()
                command = shlex.split(lines[-1]) if lines else []
                self.link_commands[target] = [w for w in command if w not in (":", "&&")]
            return self.link_commands[target]

    def shared_library(self) -> str:
        (library,) = [
            path for path in self.build_directory.glob(f"{SHARED}*") if not path.is_symlink()
        ]
        return str(library.relative_to(self.build_directory))

    def targets(self, commands: list[list[str]]) -> list[str]:
        """What the tests' commands name of this build, and the shared library."""
        found = [self.shared_library()]
        for word in {word for command in commands for word in command}:
            path = Path(word)
            if path.is_absolute() and path.is_relative_to(self.build_directory) and path.is_file():
                # Not by its link: a library is named by one, and built under its full name.
                found.append(str(path.resolve().relative_to(self.build_directory)))
        return sorted(set(found))

    # ---- Building ----

    def compile(self, source: str, work: Path) -> tuple[str, Path]:
        """Returns the object that it replaces, and the new one."""
        command = list(self.compile_commands[source])
        object_file = work / (Path(source).name + ".o")
        at = command.index("-o") + 1
        replaced, command[at] = command[at], str(object_file)
        command = [str(work / source) if w == str(ROOT / source) else w for w in command]
        run([*command, "-w"], self.build_directory)
        return replaced, object_file

    def link(self, target: str, objects: dict[str, Path], work: Path) -> None:
        """Links a target anew if it has one of the objects in it, itself or from the archive."""
        by_source = {Path(name).name: new for name, new in objects.items()}
        from_archive = [str(new) for old, new in objects.items() if "rbcore_static.dir" in old]
        command: list[str] = []
        replaced = False
        for word in self.link_command(target):
            name = Path(word).name
            is_library = "/rbcore.dir/" in word and name in by_source and bool(from_archive)
            if word in objects or is_library:
                command.append(str(by_source[name]))
                replaced = True
            elif name == "librbcore.a" and from_archive:
                command += [*from_archive, word]  # the linker takes the first of a name
                replaced = True
            else:
                command.append(word)
        if not replaced or "-o" not in command:
            return
        command[command.index("-o") + 1] = str(work / Path(target).name)
        run(command, self.build_directory)

    def build(
        self, file: str, edits: list[tuple[Edit, ...]], commands: list[list[str]], work: Path
    ) -> None:
        """Builds in `work` all that the tests' commands name and that has the changed source in it."""
        for folder in SOURCES:
            shutil.copytree(ROOT / folder, work / folder, ignore=shutil.ignore_patterns("abi"))
        for some in edits:
            changed = apply(work / file, some)
            (work / file).write_text(changed)
        objects = dict(self.compile(source, work) for source in self.sources_of(file))
        for target in self.targets(commands):
            self.link(target, objects, work)
        shared = work / Path(self.shared_library()).name
        if shared.exists():
            (work / "librbcore.so.0").symlink_to(shared.name)
