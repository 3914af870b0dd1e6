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

from mutations import ROOT, Change, apply

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
        # A test may compile a source of the library once more, in its own way.
        self.compile_commands: dict[str, list[list[str]]] = {}
        for entry in entries:
            path = Path(entry["file"])
            # The object of the static library does for the shared one as well.
            if path.is_relative_to(ROOT) and "/rbcore.dir/" not in entry["command"]:
                commands = self.compile_commands.setdefault(str(path.relative_to(ROOT)), [])
                commands.append(shlex.split(entry["command"]))
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

    def compile(self, source: str, work: Path) -> dict[str, Path]:
        """Returns the objects that it replaces, with the new ones."""
        objects = {}
        for i, words in enumerate(self.compile_commands[source]):
            command = [str(work / source) if word == str(ROOT / source) else word for word in words]
            at = command.index("-o") + 1
            objects[command[at]] = work / f"{i}-{Path(source).name}.o"
            command[at] = str(objects[command[at]])
            run([*command, "-w"], self.build_directory)
        return objects

    def link(self, target: str, objects: dict[str, Path], work: Path) -> bool:
        """Links a target anew if it has one of the objects in it, itself or from the archive."""
        of_archive = {old: new for old, new in objects.items() if "/rbcore_static.dir/" in old}
        by_source = {Path(old).name: new for old, new in of_archive.items()}
        from_archive = [str(new) for new in of_archive.values()]
        command: list[str] = []
        replaced = False
        for word in self.link_command(target):
            name = Path(word).name
            if word in objects:
                command.append(str(objects[word]))
                replaced = True
            elif "/rbcore.dir/" in word and name in by_source:
                command.append(str(by_source[name]))
                replaced = True
            elif name == "librbcore.a" and from_archive:
                command += [*from_archive, word]  # the linker takes the first of a name
                replaced = True
            else:
                command.append(word)
        if replaced:
            command[command.index("-o") + 1] = str(work / Path(target).name)
            run(command, self.build_directory)
        return replaced

    def build(self, changes: list[Change], commands: list[list[str]], work: Path) -> None:
        """Builds in `work` all that the tests' commands name and that has a changed source in it."""
        for folder in SOURCES:
            shutil.copytree(ROOT / folder, work / folder, ignore=shutil.ignore_patterns("abi"))
        for change in changes:
            changed = apply(work / change.file, change.edits)
            (work / change.file).write_text(changed)
        objects: dict[str, Path] = {}
        for source in {s for change in changes for s in self.sources_of(change.file)}:
            objects |= self.compile(source, work)
        linked = [target for target in self.targets(commands) if self.link(target, objects, work)]
        if not linked:
            files = ", ".join(change.file for change in changes)
            raise BuildFailed(f"nothing that the tests run has {files} in it")
        shared = work / Path(self.shared_library()).name
        if shared.exists():
            (work / "librbcore.so.0.3").symlink_to(shared.name)
