"""Two rewards side by side on the page of a rescoring: how often they agree, and where they do not, in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from r1lab.report.records import Completion, Run
from r1lab.report.score import as_number
from r1lab.report.words import number, percent

FILE = "rescore.json"
MOST = 100  # completions in full, whatever was asked for
LONGEST = 100_000  # characters of one


@dataclass(frozen=True)
class Row:
    """A row of the table: the class of the first reward's scores, the counts, and their sum."""

    name: str
    counts: list[str]
    total: str


@dataclass(frozen=True)
class Compared:
    """The page's section."""

    names: tuple[str, str]
    columns: list[str]
    rows: list[Row]
    totals: list[str]
    facts: list[tuple[str, str]]
    worst: list[tuple[Completion, list[tuple[str, str]]]]
    differ: int


def compared(run: Run) -> Compared | None:
    """The section for a run that rescored; None where it left no record that can be read."""
    try:
        record: Any = json.loads((run.path / FILE).read_text(encoding="utf-8", errors="replace"))
        names = (str(record["names"][0]), str(record["names"][1]))
        columns = [str(item) for item in record["columns"]]
        counts = [[int(count) for count in row] for row in record["counts"]]
        rows = [
            Row(str(name), [number(count) for count in row], number(sum(row)))
            for name, row in zip(record["rows"], counts, strict=True)
        ]
        totals = [number(sum(column)) for column in zip(*counts, strict=True)]
        worst = [_completion(item) for item in record.get("worst", [])[:MOST]]
        facts = _facts(names, record, sum(map(sum, counts)))
        return Compared(names, columns, rows, totals, facts, worst, int(record["differ"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _facts(names: Sequence[str], record: dict[str, Any], total: int) -> list[tuple[str, str]]:
    both, passed = int(record["both"]), [int(count) for count in record["passed"]]
    share = f" ({percent(record['differ'] / both)})" if both else ""
    least = [number(as_number(item)) for item in record.get("least", [1.0, 1.0])]
    correlation = as_number(record.get("correlation"))
    return [
        ("completions", number(total)),
        ("scored by both", number(both)),
        *((f"mean {name}", number(as_number(mean))) for name, mean in zip(names, record["means"], strict=True)),
        ("passing by both", number(passed[0])),
        (f"by {names[0]} alone", number(passed[1])),
        (f"by {names[1]} alone", number(passed[2])),
        ("by neither", number(passed[3])),
        ("differ", f"{number(record['differ'])}{share}"),
        ("passes from", least[0] if least[0] == least[1] else f"{least[0]} and {least[1]}"),
        ("correlation", "–, one of them does not vary" if correlation is None else f"{correlation:.3f}"),
    ]


def _completion(item: dict[str, Any]) -> tuple[Completion, list[tuple[str, str]]]:
    """A completion in full, with every score."""
    scores = {str(name): as_number(value) for name, value in dict(item["rewards"]).items()}
    solution, tokens, finish = item.get("solution"), item.get("tokens"), item.get("finish")
    completion = Completion(
        step=int(item.get("step") or 0),
        prompt=str(item.get("prompt") or "")[:LONGEST],
        text=str(item.get("completion") or "")[:LONGEST],
        solution=None if solution is None else str(solution)[:LONGEST],
        rewards=scores,
        tokens=tokens if isinstance(tokens, int) else None,
        finish=finish if isinstance(finish, str) else None,
        prompt_id=0,
    )
    return completion, [(name, "not scored" if value is None else number(value)) for name, value in scores.items()]
