"""Small mends for programs that are right but for a header or a name that has moved since they were written."""

from __future__ import annotations

import re

STANDARD = "#include <bits/stdc++.h>"
NAMESPACE = "using namespace std;"
CONTAINERS = "Mapping|MutableMapping|Sequence|MutableSequence|Set|MutableSet|Iterable|Iterator|Callable|Hashable|Sized"
MOVED = (
    (re.compile(rf"\bfrom\s+collections\s+import\s+(?=(?:{CONTAINERS})\b)"), "from collections.abc import "),
    (re.compile(rf"\bcollections\.(?=(?:{CONTAINERS})\b)"), "collections.abc."),  # Python 3.10
    (re.compile(r"\bimport\s+imp\b"), "import importlib as imp"),  # 3.12
    (re.compile(r"\basyncio\.async\("), "asyncio.ensure_future("),  # 3.7
    (re.compile(r"\binspect\.getargspec\b"), "inspect.getfullargspec"),  # 3.11
    (re.compile(r"""\barray\.array\(\s*(['"])c\1"""), r"array.array(\1b\1"),  # 3.0
    (re.compile(r"\bfractions\.gcd\b"), "__import__('math').gcd"),  # 3.9
    (re.compile(r"(?:\bos\s*\.\s*)?\bgetlogin\s*\(\s*\)"), "False"),  # programs that ask whether they are at home
    (re.compile(r"\\[ \t]*(?:\r\n|\r|\n)(?:[ \t]*(?:\r\n|\r|\n))+"), "\\\n"),  # a continued line, then empty ones
)
FRACTIONS = re.compile(r"^([ \t]*)from\s+fractions\s+import\s+\(?([\w \t,]+?)\)?[ \t]*(#.*)?$", re.MULTILINE)
COLLECTIONS = re.compile(r"\bcollections\.abc\.")
UNLIMITED = "import sys\nif hasattr(sys, 'set_int_max_str_digits'):\n    sys.set_int_max_str_digits(0)\n"


def ioi_includes(source: str | None, task: str) -> str | None:
    """An IOI submission with the headers it may have forgotten: the standard ones, the task's own, and `std`."""
    if not source or not source.strip():
        return None
    head = [STANDARD]
    if f'#include "{task}.h"' not in source:
        head.append(f'#include "{task}.h"')
    if NAMESPACE not in source and "std::" not in source:
        head += ["", NAMESPACE, ""]
    return "\n".join([*head, source])


def patched(source: str, language: str) -> str:
    """A Codeforces submission with what has moved since: headers for C++, names of the standard library for Python."""
    if language == "cpp":
        head = [STANDARD] if NAMESPACE in source or "std::" in source else [STANDARD, "", NAMESPACE, ""]
        return "\n".join([*head, source])
    if language != "python":
        return source
    for old, new in MOVED:
        source = old.sub(new, source)
    source = FRACTIONS.sub(_without_gcd, source).rstrip("\\")
    if COLLECTIONS.search(source):
        source = _after_future(source, "import collections.abc\n")
    return source if "set_int_max_str_digits" in source else _after_future(source, UNLIMITED)


def _without_gcd(line: re.Match[str]) -> str:
    """`from fractions import …` with gcd taken from math, where it has lived since Python 3.5."""
    indent, names = line[1], [name.strip() for name in line[2].split(",") if name.strip()]
    moved = [name for name in names if name.split()[0] == "gcd"]
    stayed = [name for name in names if name not in moved]
    lines = [f"from fractions import {', '.join(stayed)}"] if stayed else []
    lines += [f"from math import {', '.join(moved)}"] if moved else []
    return "\n".join(indent + item for item in lines)


def _after_future(source: str, lines: str) -> str:
    """A program with lines put first, but after what must stand first: `from __future__` imports and its docstring."""
    last = 0
    for found in re.finditer(r"^from\s+__future__\s+import\s+.*(?:\n|$)", source, re.MULTILINE):
        last = found.end()
    return source[:last] + lines + source[last:]
