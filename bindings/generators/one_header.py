# SPDX-License-Identifier: MIT
"""This joins rbcore.h and its parts to one header, for what reads or copies a single file."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "include"
PART = re.compile(r"#include <(rbcore/\w+\.h)>")
OPENING = '#ifdef __cplusplus\nextern "C" {\n#endif\n'
CLOSING = "#ifdef __cplusplus\n}\n#endif\n"


def declarations_of(part: str) -> str:
    """Returns what a part of rbcore.h declares, without its guard and its includes."""
    _, _, rest = (FOLDER / part).read_text().partition(OPENING)
    declarations, _, _ = rest.partition(CLOSING)
    return f"/* ---- {part} ---- */\n\n{declarations.strip()}\n"


def one_text() -> str:
    """Returns rbcore.h and its parts, in the order in which it includes them, as one header."""
    text = (FOLDER / "rbcore" / "rbcore.h").read_text()
    before, guard, _ = text.partition("#define RBCORE_RBCORE_H\n")
    parts = [declarations_of(part) for part in PART.findall(text)]
    includes = "#include <stddef.h>\n#include <stdint.h>\n"
    return "\n".join(
        [before + guard, includes, OPENING, *parts, CLOSING, "#endif /* RBCORE_RBCORE_H */\n"]
    )
