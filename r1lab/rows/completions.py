"""Stored completions, wherever r1lab or somebody else has left them: as rows with a text, a problem and scores.

A run's folder, the records of its benchmarks, the dataset or the store of a generation, or any file of rows with a
column `completion` or `messages`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from r1lab.errors import Finding, ResumeError
from r1lab.rows.files import Source, source_of
from r1lab.rows.text import read_rows
from r1lab.runs.completions import completion_line
from r1lab.runs.folder import RunFolder
from r1lab.wording import display, nearest, some

KEY = "task.completions"
STREAMS = ("eval", "train")
STORED = "stored."  # before the name of a reward: the score that was kept with the completions
TEXTS = ("completion", "messages")  # columns that hold what was said
FORMATS = (".json", ".jsonl", ".parquet")
RECORDS = "evaluation"  # in a run's folder: all that was said of each benchmark, as `evaluation.records` writes it
PEEKED = 64  # rows that the planner looks at


@dataclass(frozen=True)
class Found:
    """Where completions are, or what speaks against the path.

    Attributes:
        source: the files.
        torn: whether the last line of a file may be torn, as a kill leaves the streams of a run and a store.
        faults: then there is nothing to read.
    """

    source: Source
    torn: bool
    faults: tuple[Finding, ...] = ()


def find(path: str, stream: str | None = None, place: str = KEY) -> Found:
    """The files that a path means.

    Args:
        path: as the config says it.
        stream: "eval" or "train", of a run that trained.
        place: where the config said it.
    """
    folder = Path(path)
    if (folder / "run.yaml").is_file():
        return _of_run(folder, stream, place)
    if folder.name == RECORDS and (folder.parent / "run.yaml").is_file():
        return _checked(Source(".jsonl", sorted(folder.glob("*.jsonl"))), folder, False, place)
    if stream is not None:
        what = f"task.stream={stream}: {display(folder)} is no run's folder, which alone has streams"
        return Found(Source(), False, (Finding(what, place, fix="leave task.stream out"),))
    if (folder / "store.json").is_file():
        return _checked(Source(".jsonl", sorted(folder.glob("*.jsonl"))), folder, True, place)
    if (folder / "all").is_dir() and (folder / "sft").is_dir():  # a generation's dataset: all of it, not what was kept
        folder = folder / "all"
    source = source_of(str(folder), key=KEY)
    faults = tuple(Finding(item.what, place, item.nearest, item.fix) for item in source.faults)
    return Found(source, False, faults) if faults else _checked(source, folder, False, place)


def _of_run(run: Path, stream: str | None, place: str) -> Found:
    if stream is not None and stream not in STREAMS:
        close = nearest(stream, STREAMS)
        nearby = f"task.stream={close}" if close else ""
        return Found(Source(), False, (Finding(f"task.stream={stream} is not known", place, nearby, "eval or train"),))
    if stream is None and (run / "dataset/all").is_dir():
        return find(str(run / "dataset/all"), None, place)
    try:
        measured = stream != "train" and _of_benchmarks(run)
    except ResumeError as error:
        return Found(Source(), False, (Finding(error.what, place, fix=f"task.completions={display(run / RECORDS)}"),))
    if measured:  # completions/eval.jsonl holds the first of each, for the page
        return find(str(run / RECORDS), None, place)
    files = {name: run / "completions" / f"{name}.jsonl" for name in STREAMS}
    there = {name: file for name, file in files.items() if file.is_file() and file.stat().st_size}
    if stream is None and there:
        stream = next(iter(there))
    if stream not in there:
        if not there and (run / "store/store.json").is_file():
            return find(str(run / "store"), None, place)
        what = f"the run in {display(run)} kept no completions" + (f" of stream {stream}" if stream else "")
        fix = f"task.stream={next(iter(there))}" if there else "a run of grpo, rft, eval or generate"
        return Found(Source(), False, (Finding(what, place, fix=fix),))
    return _checked(Source(".jsonl", [there[stream]]), run, True, place)


def _of_benchmarks(run: Path) -> bool:
    """Whether a run measured benchmarks, and kept what was said.

    Raises:
        ResumeError: its config cannot be read.
    """
    if not any((run / RECORDS).glob("*.jsonl")):
        return False
    return bool(RunFolder(run).read_config().get("benchmark"))


def _checked(source: Source, path: Path, torn: bool, place: str) -> Found:
    if source.format not in FORMATS:
        what = f"{display(path)} holds {source.format or 'no'} files, which hold no completions"
        return Found(Source(), torn, (Finding(what, place, fix=f"one of {some(FORMATS)}"),))
    if not source.files or all(file.stat().st_size == 0 for file in source.files):
        return Found(Source(), torn, (Finding(f"{display(path)} holds no completion", place, fix="another run"),))
    return Found(source, torn)


def rows_of(found: Found) -> Iterator[dict[str, Any] | Finding]:
    """The rows, and a `Finding` in the place of one that cannot be read; a store's failures are left out."""
    problems = 0
    for file in found.source.files:
        if found.source.format == ".parquet":
            yield from _parquet(file)
            continue
        broken: Finding | None = None
        benchmark: str | None = None
        for _, row in read_rows(file):
            if broken is not None:
                yield broken
            broken = row if isinstance(row, Finding) else None
            if isinstance(row, dict) and {"benchmark", "made_by"} <= row.keys():
                benchmark = str(row["benchmark"])
            elif isinstance(row, dict) and benchmark is not None:
                yield from _of_problem(row, benchmark, problems)
                problems += 1
            elif isinstance(row, dict) and not (found.torn and "key" in row and "error" in row):
                yield row
        if broken is not None and not found.torn:
            yield broken


def _of_problem(problem: dict[str, Any], benchmark: str, number: int) -> Iterator[dict[str, Any]]:
    """A row for each sample of a benchmark's problem, with the columns that other runs' completions have."""
    for place, sample in enumerate(problem["samples"]):
        yield completion_line(
            problem=number,
            sample=place,
            prompt=problem["prompt"],
            completion=sample["text"],
            solution=problem["gold"],
            rewards={benchmark: sample["score"]},
            tokens=sample["tokens"],
            finish=sample["finish"],
            benchmark=benchmark,
            id=problem["id"],
        )


def _parquet(file: Path) -> Iterator[dict[str, Any] | Finding]:
    from pyarrow import ArrowException  # heavy, and only this format needs it
    from pyarrow.parquet import ParquetFile

    try:
        for batch in ParquetFile(file).iter_batches(256):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        yield Finding(f"{display(file)} is broken: {str(error).splitlines()[0]}")


def text_of(row: dict[str, Any]) -> str | None:
    """What was said, as rewards read it; None where the row does not hold it as text."""
    said = row.get("completion")
    if said is None:
        said = row.get("messages")
    if isinstance(said, list) and said and isinstance(said[-1], dict):
        said = said[-1].get("content")
    return said if isinstance(said, str) else None


def peek(found: Found) -> tuple[list[str], list[str], list[Finding]]:
    """The columns of the first rows, the rewards whose scores they hold, and what is wrong with them."""
    columns: dict[str, None] = {}
    scores: dict[str, None] = {}
    for row in islice(rows_of(found), PEEKED):
        if isinstance(row, Finding):
            return list(columns), list(scores), [row]
        columns |= dict.fromkeys(map(str, row))
        kept = row.get("rewards")
        scores |= dict.fromkeys(map(str, kept)) if isinstance(kept, dict) else {}
    if not columns:
        return [], [], [Finding(f"{display(found.source.files[0])} holds no completion", fix="another run")]
    if not set(TEXTS) & set(columns):
        close = nearest("completion", columns)
        what = f"{display(found.source.files[0])} has no column completion or messages"
        fix = f"its columns: {some(columns)}" + (f"; rename {close}" if close else "")
        return list(columns), list(scores), [Finding(what, fix=fix)]
    return list(columns), list(scores), []
