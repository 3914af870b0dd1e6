# SPDX-License-Identifier: MIT
"""Runs the tests of a build on a mutant of the library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import Malformed

SKIPPED = 77
PATIENCE = 15  # seconds, and so many times what the test takes with the intact library: then it hangs
TIMES_LONGER = 4
LONGEST_INTACT = 120  # seconds
GRACE = 2  # seconds until what does not end is killed
MARK = "RBCORE_MUTANT"


@dataclass(frozen=True)
class Test:
    """A test as ctest names it, or one case of a program that is written with check."""

    name: str
    case: str

    def __str__(self) -> str:
        return f"{self.name}: {self.case}" if self.case else self.name


@dataclass(frozen=True)
class Result:
    verdict: str  # passed, failed, hung or skipped
    output: str
    seconds: float


def listed(build: Path) -> dict[str, Any]:
    """The tests of a build, from a folder beside it: in the build, ctest would begin the log anew of the
    run that this is a test of.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "CTestTestfile.cmake").write_text(f'subdirs("{build.resolve()}")\n')
        listing = subprocess.run(
            ["ctest", "--test-dir", folder, "--show-only=json-v1"],
            check=True, text=True, capture_output=True,
        )  # fmt: skip
    return {e["name"]: e for e in json.loads(listing.stdout)["tests"]}


class Tests:
    def __init__(self, build: Path) -> None:
        self.entries = listed(build)
        self.results: dict[Test, Result] = {}
        self.locks: dict[Test, threading.Lock] = {}
        self.lock = threading.Lock()

    def find(self, words: str) -> Test:
        name, _, case = (word.strip() for word in words.partition(":"))
        if "command" not in self.entries.get(name, {}):
            raise Malformed(f"ctest has no test {name}, or it is not built")
        return Test(name, case)

    def command(self, test: Test) -> list[str]:
        return [str(word) for word in self.entries[test.name]["command"]]

    def environment(self, test: Test, directory: Path | None) -> dict[str, str]:
        environment = dict(os.environ)
        for entry in self.entries[test.name]["properties"]:
            if entry["name"] == "ENVIRONMENT":
                environment.update(word.split("=", 1) for word in entry["value"])
        if test.case:
            environment["CK_RUN_CASE"] = test.case
        if directory is not None:
            environment["LD_LIBRARY_PATH"] = str(directory)
            environment[MARK] = str(directory)
        return environment

    def intact(self, test: Test) -> Result:
        """With the library as it is. Once is enough."""
        with self.lock:
            lock = self.locks.setdefault(test, threading.Lock())
        with lock:
            if test not in self.results:
                command = self.command(test)
                environment = self.environment(test, None)
                self.results[test] = run(test, command, environment, LONGEST_INTACT)
            return self.results[test]

    def run(self, test: Test, directory: Path) -> Result:
        command = []
        for word in self.command(test):
            mutant = directory / Path(word).resolve().name
            command.append(str(mutant) if os.path.isabs(word) and mutant.is_file() else word)
        limit = PATIENCE + TIMES_LONGER * self.intact(test).seconds
        return run(test, command, self.environment(test, directory), limit)


def end(process: subprocess.Popen[str], mark: str) -> None:
    """check gives each test a process group of its own, and ends it when it is asked to end."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
            if f"{MARK}={mark}".encode() in words:
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue  # it has ended, or is not ours


def run(test: Test, command: list[str], environment: dict[str, str], limit: float) -> Result:
    started = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output = process.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        end(process, environment.get(MARK, "none"))
        return Result("hung", process.communicate()[0], time.monotonic() - started)
    seconds = time.monotonic() - started
    if test.case and "Checks: 0," in output:
        raise Malformed(f"{test.name} has no case {test.case}")
    if process.returncode == SKIPPED:
        return Result("skipped", output, seconds)
    return Result("passed" if process.returncode == 0 else "failed", output, seconds)
