"""Real files and documents damaged, and values made up to do harm; every edit is one whole number, easy to shorten."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

CANARY = "/tmp/harness-canary"
"""A file that a payload would leave if it were run."""

EDITS: SearchStrategy[list[int]] = st.lists(st.integers(0, 2**62), max_size=5)

SHELL = (f"$(touch {CANARY})", f"; touch {CANARY} #", f"`touch {CANARY}`", f"| touch {CANARY}")
PATHS = (
    "../../../../tmp/harness-canary",
    CANARY,
    "..",
    ".",
    "/",
    "a/../..",
    "~",
    "-",
    "--",
    "con",
    "a\0b",
    "*",
    "[",
    "**",
)
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10_000, 2**31, 2**63, -(2**63) - 1, 10**300, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")),
    *(
        "",
        " ",
        "a",
        "null",
        "true",
        "1",
        "0.5",
        "5%",
        "yes",
        "~",
        "é",
        "名",
        "𝔘",
        "e\u0301",
        "\u202e",
        "\ufeff",
        "\ud800",
    ),
    *("\0", "\n", "\r", "\t", "\x1b[2J", "'", '"', "\\", "{", "}", "{lr}", "{}", "{{", "%s", "%(x)s", "<b>", "&amp;"),
    *("=1+1", "+1", "@SUM(1)", "a" * 99, "a" * 101, "名" * 100, "a" * 10_000, "x:y", "os:system", "./missing.py:f"),
    *(*SHELL, *PATHS),
)
"""What stands where something else belongs."""


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


COMPOSITES: tuple[Any, ...] = (
    *([], {}, [None], [[]], {"": None}, {"a": 1}, [1, 2, 3], ["a", "a"], {"a": {"b": {"c": []}}}, deep(30)),
    *(list(range(300)), {f"k{i}": i for i in range(300)}, {"first": 2, "most": 3}, {"kind": "ladder"}),
)


def _spread(edit: int) -> int:
    """Small numbers, which hypothesis likes, mean edits at any place too."""
    return edit * 0x9E3779B97F4A7C15 % (1 << 62)


def edited(content: bytes, edits: Sequence[int], tokens: Sequence[bytes]) -> bytes:
    """`content` with bits flipped, pieces cut, doubled, moved, filled in, and `tokens` of its format put in."""
    for edit in map(_spread, edits):
        edit, kind = divmod(edit, 11)
        edit, at = divmod(edit, len(content) + 1)
        edit, length = divmod(edit, 16)
        piece = content[at : at + length]
        head, tail = content[:at], content[at + length :]
        match kind:
            case 0 if piece:
                content = head + bytes([piece[0] ^ 1 << edit % 8]) + content[at + 1 :]
            case 1 if piece:
                content = head + bytes([edit % 256]) + content[at + 1 :]
            case 2 | 3:
                content = head + tokens[edit % len(tokens)] + (content[at:] if kind == 2 else tail)
            case 4:
                content = head + tail
            case 5:
                content = head + piece * (edit % 5 + 2) + tail
            case 6:
                content = head if edit % 4 == 0 else content[:at] + content[at + length * 16 :]
            case 7:
                content = head + bytes([edit % 256]) * (1 << edit // 256 % 13) + content[at:]
            case 8:
                width = (1, 2, 4, 8)[edit % 4]
                number = (0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1)[edit // 4 % 5]
                content = head + number.to_bytes(width, ("little", "big")[edit // 20 % 2]) + content[at + width :]
            case 9:
                other = edit % (len(content) + 1)
                content = head + content[other : other + 16 * length] + tail
            case _:
                content = tail + head
    return content


def edited_document(document: Any, edits: Sequence[int], more: Sequence[Any] = ()) -> Any:
    """Plain data with values replaced, doubled, renamed, moved and taken away."""
    document = copy.deepcopy(document)
    values = (*SCALARS, *COMPOSITES, *more)
    for edit in map(_spread, edits):
        places = list(_places(document))
        if not places:
            return copy.deepcopy(values[edit % len(values)])
        edit, kind = divmod(edit, 8)
        edit, place = divmod(edit, len(places))
        (inside, key), value = places[place], copy.deepcopy(values[edit % len(values)])
        match kind:
            case 0 | 1 | 2:
                inside[key] = value
            case 3:
                del inside[key]
            case 4 if isinstance(inside, dict):
                name = value if isinstance(value, str) else str(value)[:50]
                inside[name] = inside.pop(key)
            case 4 | 5:
                where, which = places[edit % len(places)]
                inside[key] = copy.deepcopy(where[which])
            case 6 if isinstance(inside, list):
                inside.insert(key, value)
            case 6:
                inside[value if isinstance(value, str) else str(value)[:50]] = copy.deepcopy(inside[key])
            case _:
                inside[key] = [inside[key]]
    return document


def _places(inside: Any) -> Any:
    """(container, key) of everything in a document."""
    keys = list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
    for key in keys:
        yield inside, key
        yield from _places(inside[key])
