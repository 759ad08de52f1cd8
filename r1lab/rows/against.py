"""The benchmarks that data is compared with: what `task.against` may say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1lab.errors import Finding
from r1lab.rows.mixture import SOURCES, settings_of, shipped
from r1lab.wording import nearest, some

ALIASES = {  # as benchmarks are called → the dataset's file
    "aime24": "aime_2024",
    "aime25": "aime_2025",
    "gpqa-diamond": "gpqa",
    "lcb": "code_generation_lite",
    "lcb-v4": "code_generation_lite_v4",
}
KEYS = (*SOURCES, "label", "config", "revision", "split", "prompt")


@dataclass(frozen=True)
class Benchmark:
    """Documents to compare with.

    Attributes:
        label: what flags and messages call it.
        kind: "id" (of the Hub), "path" (local files) or "name" (a dataset that r1lab ships).
        value: which one.
        prompt: the column that holds the documents.
        split: of the Hub's dataset or of a saved one; None for the held-out rows of one that r1lab ships.
    """

    label: str
    kind: str
    value: str
    prompt: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None

    @property
    def column(self) -> str:
        """The column of flags."""
        return column_of(self.label)


def column_of(label: str) -> str:
    """The name of the column that flags rows found in a benchmark."""
    return f"contaminated_{re.sub(r'[^0-9A-Za-z]+', '_', label)}"


def benchmarks_of(listed: Sequence[Any]) -> tuple[list[Benchmark], list[Finding]]:
    """The benchmarks of `task.against`, and everything that is wrong with what it says."""
    found: list[Benchmark] = []
    faults: list[Finding] = []
    for number, given in enumerate(listed):
        place = f"task.against[{number}]"
        entry = {"name": given, "label": given} if isinstance(given, str) else given
        if not isinstance(entry, Mapping):
            faults.append(Finding(f"{place} takes a name or a mapping, not {given!r}", fix="aime24, {path: FILE}, …"))
        elif wrong := _faults(place, entry):
            faults += wrong
        else:
            found.append(_benchmark(entry))
    taken: dict[str, str] = {}
    for item in found:
        if item.column in taken:
            what = f"task.against names {item.label!r} twice"
            if taken[item.column] != item.label:
                what = f"task.against: {taken[item.column]!r} and {item.label!r} would both flag in {item.column}"
            faults.append(Finding(what, fix="leave one out, or give it another name: {…, label: NAME}"))
        taken.setdefault(item.column, item.label)
    return found, faults


def _faults(place: str, given: Mapping[str, Any]) -> list[Finding]:
    faults = []
    for key in given:
        if key not in KEYS:
            faults.append(Finding(f"{place}.{key} is not a field", nearest=nearest(str(key), KEYS), fix=some(KEYS)))
    for key in KEYS:
        if given.get(key) is not None and not isinstance(given[key], str):
            faults.append(Finding(f"{place}.{key} takes text, not {given[key]!r}"))
    sources = [key for key in SOURCES if given.get(key)]
    if len(sources) != 1:
        what = f"{place} names {'no dataset' if not sources else ' and '.join(sources)}"
        faults.append(Finding(what, fix="one of id: ORG/NAME, path: FILE, name: a shipped dataset"))
    elif not faults and sources == ["name"] and ALIASES.get(given["name"], given["name"]) not in shipped():
        what, known = f"{place}: there is no dataset {given['name']!r}", [*ALIASES, *shipped()]
        fix = f"one of: {some(known)}; or {{id: ORG/NAME, prompt: COLUMN}}, {{path: FILE, prompt: COLUMN}}"
        faults.append(Finding(what, nearest=nearest(given["name"], known), fix=fix))
    return faults


def _benchmark(given: Mapping[str, Any]) -> Benchmark:
    kind = next(key for key in SOURCES if given.get(key))
    value = ALIASES.get(given[kind], given[kind]) if kind == "name" else given[kind]
    own = settings_of(value) if kind == "name" else {}
    stem = given[kind] if kind == "name" else Path(value).stem if kind == "path" else value.rpartition("/")[2]
    prompt = given.get("prompt") or own.get("prompt") or "problem"
    rest = {key: given.get(key) for key in ("config", "revision", "split")}
    return Benchmark(given.get("label") or stem, kind, value, prompt, **rest)
