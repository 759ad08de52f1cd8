"""Results of many runs, benchmark by benchmark, with a letter for the conditions that each was made under.

Results with the same letter have the same fingerprint; what sets a letter apart from A is said in words, so that no two
numbers stand in a column as if they were alike when they are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from r1lab.errors import DataError
from r1lab.evaluation.fingerprint import differing, parts_of
from r1lab.evaluation.published import figures_of, tables
from r1lab.evaluation.result import FOLDER, kept_results

UNKNOWN = "published"  # the conditions of a figure from a paper


@dataclass(frozen=True)
class Entry:
    """One number of one benchmark: value and interval as shares, with what is to be known beside it."""

    model: str
    value: float
    low: float | None
    high: float | None
    problems: int | None
    samples: int | None
    evaluator: str
    conditions: str
    doubts: list[str]
    folder: str
    published: bool = False


@dataclass(frozen=True)
class Column:
    """One benchmark: its measure, what each letter stands for, and its entries, the best first."""

    benchmark: str
    measure: str
    conditions: list[tuple[str, str]]
    entries: list[Entry]


def results_under(folders: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The results of all runs at or below some folders; a run that stands below two of them counts once.

    Raises:
        DataError: there is none, or one cannot be read.
    """
    places = {place.parent for folder in folders for place in Path(folder).rglob(f"{FOLDER}/*.json")}
    found = [result for place in sorted({place.parent.resolve() for place in places}) for result in kept_results(place)]
    if not found:
        told = ", ".join(map(str, folders))
        raise DataError(f"no evaluation lies at or below {told}: task=eval leaves {FOLDER}/NAME.json in a run")
    return found


def columns(results: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The results benchmark by benchmark, with published figures of the models that are there."""
    names = sorted({result["benchmark"] for result in results})
    return [_column(name, [result for result in results if result["benchmark"] == name]) for name in names]


def _column(benchmark: str, results: Sequence[Mapping[str, Any]]) -> Column:
    times = Counter(result["fingerprint"] for result in results)
    letters = {print_: letter_of(place) for place, (print_, _) in enumerate(times.most_common())}
    firsts = {letters[result["fingerprint"]]: result["made_by"] for result in reversed(results)}
    entries = [_entry(result, letters[result["fingerprint"]]) for result in results]
    entries += _published(benchmark, {str((result["made_by"].get("model") or {}).get("repo")) for result in results})
    told = [(letter, described(firsts[letter], None if letter == "A" else firsts["A"])) for letter in letters.values()]
    if any(entry.published for entry in entries):
        told.append((UNKNOWN, "figures from papers and reports; beside ours they are only for orientation"))
    return Column(benchmark, results[0]["primary"], told, sorted(entries, key=lambda entry: -entry.value))


def letter_of(place: int) -> str:
    """A, B, … Z, A2, B2, …"""
    number, letter = divmod(place, len(ascii_uppercase))
    return ascii_uppercase[letter] + (str(number + 1) if number else "")


def described(made_by: Mapping[str, Any], first: Mapping[str, Any] | None) -> str:
    """Conditions in words: of the first letter what they are, of the others in what they differ from it."""
    if first is not None:
        words = ", ".join(differing(first, made_by))
        return f"differs from A in {words}" if words else "as A, with usual values written out"
    parts = parts_of(made_by)
    sampling = ", ".join(f"{name} {value:g}" for name, value in (parts["sampling"] or {}).items() if value)
    return f"evaluator {parts['evaluator']}, {sampling}"


def _entry(result: Mapping[str, Any], letter: str) -> Entry:
    value = result["measures"][result["primary"]]
    model = result["made_by"].get("model") or {}
    return Entry(
        model=str(model.get("path") or model.get("repo") or model.get("name") or "?"),
        value=value["value"],
        low=value["low"],
        high=value["high"],
        problems=value["problems"],
        samples=result["asked"],
        evaluator=str(result["made_by"].get("evaluator")),
        conditions=letter,
        doubts=[doubt["text"] for doubt in result["doubts"]],
        folder=str(result["folder"]),
    )


def _published(benchmark: str, models: set[str]) -> list[Entry]:
    return [
        Entry(model, f.value, None, None, None, f.samples, f.table, UNKNOWN, [], f.url, published=True)
        for model in sorted(models)
        for f in (figures_of(model, benchmark) if tables() else ())
    ]
