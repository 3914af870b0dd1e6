# SPDX-License-Identifier: MIT
"""This tests the package itself: versions, the header for BPF programs, what it says of itself."""

from __future__ import annotations

import ast
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rbcore

PROGRAM = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <rbcore/rbcore_bpf.h>
"""


def test_versions() -> None:
    assert rbcore.__version__ == ".".join(map(str, rbcore.version()))
    assert rbcore.__version__ == importlib.metadata.version("rbcore")


def test_metadata() -> None:
    metadata = importlib.metadata.metadata("rbcore")
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    urls = metadata.get_all("Project-URL") or []
    assert {url.split(",")[0] for url in urls} >= {"Repository", "Documentation", "Issues"}


def test_missing_headers_are_named() -> None:
    program = """if True:
        import runpy, sys, sysconfig, types
        sys.modules["setuptools"] = types.SimpleNamespace(setup=None)
        sysconfig.get_path = lambda name: "/nowhere"
        runpy.run_path(sys.argv[1])
    """
    setup = Path(__file__).parents[1] / "setup.py"
    command = [sys.executable, "-c", program, str(setup)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "install python3-dev (Debian" in result.stderr
    assert "Traceback" not in result.stderr


def imports_of(module: Path) -> set[str]:
    """The modules of this package that one of them names, also where only types are wanted."""
    nodes = ast.walk(ast.parse(module.read_text()))
    found = (node for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 1)
    return {node.module for node in found if node.module}


def test_no_modules_import_each_other() -> None:
    package = Path(rbcore.__file__).parent
    imports = {module.stem: imports_of(module) for module in package.glob("*.py")}
    left = dict(imports)
    while left:
        free = {name for name in left if not imports[name] & left.keys()}
        assert free, f"a circle of imports: {sorted(left)}"
        for name in free:
            del left[name]


def test_the_header_for_bpf_programs(tmp_path: Path) -> None:
    header = Path(rbcore.include_dir(), "rbcore", "rbcore_bpf.h")
    source = Path(__file__).parents[3] / "include" / "rbcore" / "rbcore_bpf.h"
    assert header.read_bytes() == source.read_bytes()
    if not shutil.which("clang") or not Path("/usr/include/bpf/bpf_helpers.h").exists():
        pytest.skip("no clang, or no bpf_helpers.h: BPF programs cannot be compiled")
    (tmp_path / "program.bpf.c").write_text(PROGRAM)
    command = ["clang", "-target", "bpf", "-O2", "-g", "-I", rbcore.include_dir()]
    command += ["-I", f"/usr/include/{triple()}", "-c", "program.bpf.c", "-o", "program.o"]
    subprocess.run(command, cwd=tmp_path, check=True)


def triple() -> str:
    return subprocess.run(
        ["cc", "-dumpmachine"], check=True, capture_output=True, text=True
    ).stdout.strip()
