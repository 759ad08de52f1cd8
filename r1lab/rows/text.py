"""Rows of JSON and CSV files one by one, each with its line, and what is wrong with a file on the way.

Text stays text: a JSON string is never taken for a date, and a CSV column is only taken for numbers where every field
is written as numbers are, so that 007, 1e3 and +1 stay as they are.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from r1lab.errors import Finding
from r1lab.wording import display, plural

Row = dict[str, Any]
Entry = tuple[int, Row | Finding]  # the line (in a JSON list: which row), and what is there
BOM = b"\xef\xbb\xbf"


def read_rows(path: Path) -> Iterator[Entry]:
    """The rows of one JSON lines, JSON or CSV file; a `Finding` in the place of one that cannot be read.

    CSV fields come as text, empty ones as None; `typed` makes numbers of them.

    Raises:
        OSError: the file cannot be read.
    """
    reader = {".jsonl": _json_lines, ".json": _json, ".csv": _csv}[path.suffix.lower()]
    return reader(path, display(path))


def _json_lines(path: Path, shown: str) -> Iterator[Entry]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(BOM)
            if line.strip():
                yield number, _parsed_line(line, f"{shown}:{number}", shown)


def _parsed_line(line: bytes, place: str, shown: str) -> Row | Finding:
    try:
        fault, row = parse(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _not_text(place, error.reason, shown)
    if not fault and isinstance(row, dict):
        return row
    reason = fault or f"a row must be an object, not {type(row).__name__}"
    return Finding(f"{place} is broken: {reason}", fix=_clip(line.decode("utf-8")))


def _not_text(place: str, reason: str, shown: str) -> Finding:
    return Finding(f"{place} is not UTF-8 text: {reason}", fix=f"iconv -f latin1 -t utf-8 {shown}")


def parse(text: str) -> tuple[str, Any]:
    """What is wrong with a JSON text ("" where nothing is), and its value."""
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice.extend(name for name in row if names.count(name) > 1)
        return row

    try:
        value = json.loads(text, object_pairs_hook=unique)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return f"{error.msg} at column {error.colno}", None
    except RecursionError:
        return "nested too deeply", None
    except UnicodeEncodeError:
        return "half of a character (\\ud800 to \\udfff without its other half)", None
    except ValueError:  # of Python's limit on digits, which JSON does not know
        return "a whole number of thousands of digits (put it in quotes)", None
    return (f"the key {twice[0]!r} stands twice" if twice else ""), value


def _clip(line: str, most: int = 60) -> str:
    text = line.strip()
    return f"the line reads: {text[:most]}{'…' if len(text) > most else ''}"


def _json(path: Path, shown: str) -> Iterator[Entry]:
    try:
        text = path.read_bytes().removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        yield 0, _not_text(f"{shown}:{error.object[: error.start].count(10) + 1}", error.reason, shown)
        return
    if not text.strip():
        yield 0, Finding(f"{shown} is empty")
        return
    fault, rows = parse(text)
    if fault.startswith("Extra data") and text.lstrip().startswith("{"):  # JSON lines under the name of JSON
        yield from _json_lines(path, shown)
        return
    if fault:
        yield 0, Finding(f"{shown} is broken: {fault}")
    elif not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        yield 0, Finding(f"{shown} must be a list of objects, and not an empty one")
    else:
        yield from enumerate(rows, 1)


def _csv(path: Path, shown: str) -> Iterator[Entry]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            header = named(next(reader, []))
            if twice := next((name for name in header if header.count(name) > 1), None):
                yield 1, Finding(f"{shown}:1 names the column {twice!r} twice", fix="rename one of them")
                return
            for fields in reader:
                if fields and len(fields) != len(header):
                    what = f"{shown}:{reader.line_num} has {plural(len(fields), 'field')}, the header {len(header)}"
                    fix = 'put quotes around a field that holds a comma: "1,000"'
                    yield reader.line_num, Finding(what, fix=fix)
                elif fields:
                    values = (value if value else None for value in fields)
                    yield reader.line_num, dict(zip(header, values, strict=True))
        except csv.Error as error:
            yield reader.line_num, Finding(f"{shown}:{reader.line_num} is broken: {error}")
        except UnicodeDecodeError as error:
            line = undecodable_line(path)
            yield line, _not_text(f"{shown}:{line}", error.reason, shown)


def named(header: Sequence[str]) -> list[str]:
    """A CSV header in which every column has a name, as a saved index has none."""
    return [name or f"column {number}" for number, name in enumerate(header, 1)]


def header_of(path: Path) -> list[str]:
    """The columns of a CSV file whose header can be read."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        return named(next(csv.reader(text), []))


def undecodable_line(path: Path) -> int:
    """The first line of a file that is not UTF-8."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    short = 0 < len(digits) < 20
    return short and digits.isascii() and digits.isdigit() and str(int(text)) == text and -(2**63) <= int(text) < 2**63


def _decimal(text: str) -> bool:
    try:
        return repr(float(text)) == text and text not in ("nan", "inf", "-inf")
    except ValueError:
        return False


TYPES: dict[str, tuple[Callable[[str], bool], Callable[[str], Any]]] = {  # tried in this order
    "a whole number": (_whole, int),
    "a number": (_decimal, float),
    "true or false": (("True", "False").__contains__, lambda text: text == "True"),
    "text": (lambda _: True, str),
}


def typed(value: str | None, kind: str) -> Any:
    """A CSV field as a value of its column's kind."""
    return None if value is None else TYPES[kind][1](value)
