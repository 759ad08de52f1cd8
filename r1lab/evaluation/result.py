"""A benchmark's result: the numbers of its record, what speaks against them, and published figures beside them.

A run keeps both in `evaluation/`: NAME.jsonl is the record with every completion, NAME.json the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from r1lab.errors import DataError
from r1lab.evaluation.doubts import doubts, unmade
from r1lab.evaluation.fingerprint import fingerprint
from r1lab.evaluation.measures import measures, primary, total_points
from r1lab.evaluation.published import beside
from r1lab.evaluation.records import Record, lines, read
from r1lab.runs.folder import dumps, write_atomic
from r1lab.wording import plural

FOLDER = "evaluation"  # in a run's folder
VERSION = 1
PARTS: dict[str, type] = {  # of a result, that others build on
    "benchmark": str,
    "asked": int,
    "primary": str,
    "measures": dict,
    "doubts": list,
    "fingerprint": str,
    "made_by": dict,
}


def result_of(record: Record, ks: Sequence[int] = ()) -> dict[str, Any]:
    """A record's result, as JSON values.

    Raises:
        DataError: nothing of it could be judged.
    """
    found = measures(record, ks)
    samples = [sample for problem in record.problems for sample in problem.samples]
    there = [sample for sample in samples if not unmade(sample)]
    counted = [sample.tokens for sample in there if sample.tokens is not None]
    lacking = [f"pass@{k}" for k in sorted({*ks}) if k > 1 and f"pass@{k}" not in found and "points" not in found]
    points, whole = total_points(record) if "points" in found else (None, None)
    return {
        "version": VERSION,
        "benchmark": record.benchmark,
        "problems": len(record.problems),
        "asked": record.asked,
        "samples": len(samples),
        "primary": primary(found),
        "measures": {name: asdict(value) for name, value in found.items()},
        **({"points": points, "points_of": whole} if whole else {}),
        "length": sum(counted) / len(counted) if counted else None,
        "truncated": sum(sample.finish == "length" for sample in there) / max(1, len(there)),
        "lacking": lacking,
        "doubts": [asdict(doubt) for doubt in doubts(record)],
        "published": [{**asdict(item), "sentence": item.sentence()} for item in beside(record)],
        "fingerprint": fingerprint(record.made_by),
        "made_by": dict(record.made_by),
    }


def keep(folder: Path, record: Record, result: dict[str, Any]) -> None:
    """Write a benchmark's record and result into a run's folder."""
    place = folder / FOLDER
    write_atomic(place / f"{record.benchmark}.jsonl", "".join(line + "\n" for line in lines(record)))
    write_atomic(place / f"{record.benchmark}.json", dumps(result, indent=2) + "\n")


def kept_records(folder: Path) -> dict[str, Record]:
    """The records that a run left, by benchmark.

    Raises:
        DataError: it left none, or one that cannot be read.
    """
    files = sorted((folder / FOLDER).glob("*.jsonl"))
    if not files:
        raise DataError(f"{folder} holds no evaluation: {FOLDER}/NAME.jsonl, which task=eval leaves")
    found = {}
    for file in files:
        try:
            with file.open(encoding="utf-8") as text:
                found[file.stem] = read(text)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise DataError(f"{file} is no record of a benchmark: {type(error).__name__} {error}") from error
    return found


def kept_results(folder: Path) -> Iterator[dict[str, Any]]:
    """The results that a run left.

    Raises:
        DataError: one cannot be read.
    """
    for file in sorted((folder / FOLDER).glob("*.json")):
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
            if result["version"] > VERSION:
                raise DataError(f"{file} was written by a newer r1lab")
            refuse_torn(result)
            yield {**result, "folder": str(folder)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} is no result of a benchmark: {type(error).__name__} {error}") from error


def refuse_torn(result: dict[str, Any]) -> None:
    """Refuse what lacks a part of a result, before one of many runs spoils what is made of all of them.

    Raises:
        KeyError, TypeError: naming the part.
    """
    lacking = [name for name, kind in PARTS.items() if not isinstance(result[name], kind)]
    value = result["measures"][result["primary"]]
    lacking += [name for name in ("value", "low", "high") if not isinstance(value[name], int | float)]
    if lacking:
        raise TypeError(f"{lacking[0]} is not what it should be")


def metrics_of(result: dict[str, Any]) -> dict[str, float]:
    """A result as a run's metrics: eval/NAME/pass@1 with its interval, and the shares of what speaks against it."""
    prefix = f"eval/{result['benchmark']}"
    found: dict[str, float] = {}
    for name, value in result["measures"].items():
        found |= {f"{prefix}/{name}": value["value"], f"{prefix}/{name}_low": value["low"]}
        found |= {f"{prefix}/{name}_high": value["high"]}
    if result["length"] is not None:
        found[f"{prefix}/length"] = result["length"]
    return found | {f"{prefix}/doubt/{doubt['name']}": doubt["share"] for doubt in result["doubts"]}


def sentences(result: dict[str, Any]) -> list[str]:
    """A result, to be read: its numbers in one line, then each published figure and each doubt in one of its own."""
    parts = [
        f"{name} {share(value['value'])} ({value['low']:.1%} to {value['high']:.1%}{of(value, result)})"
        for name, value in result["measures"].items()
        if not (name.startswith("avg@") and value["value"] == result["measures"].get("pass@1", {}).get("value"))
    ]
    if "points" in result:
        parts.insert(0, f"{result['points']:.1f} of {result['points_of']:g} points")
    head = f"{result['benchmark']}, {plural(result['problems'], 'problem')} × {result['asked']}: {', '.join(parts)}"
    said = [f"{head}; intervals 95 % over problems; fingerprint {result['fingerprint']}"]
    said += [f"  beside {item['sentence']}" for item in result["published"]]
    for name in result.get("lacking", ()):
        said.append(f"  mind: no {name}: no problem has {name.partition('@')[2]} samples that were judged")
    return said + [f"  mind: {doubt['text']}" for doubt in result["doubts"]]


def share(value: float) -> str:
    """A share in percent; only all of it is 100.0 %, and only nothing 0.0 %."""
    text = f"{value:.1%}"
    return {"0.0%": "<0.1%", "100.0%": ">99.9%"}.get(text, text) if 0 < value < 1 else text


def of(value: dict[str, Any], result: dict[str, Any]) -> str:
    """Over how many problems a number is, where those are not all."""
    return "" if value["problems"] == result["problems"] else f", {plural(value['problems'], 'problem')}"
