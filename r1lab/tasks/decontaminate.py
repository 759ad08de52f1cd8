"""task=decontaminate: which rows share words with benchmarks, which repeat another row; flagged or left out.

Prompts are read twice: once to compare them, once to write the rows with what was found. Neither pass holds the data.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from omegaconf import DictConfig, OmegaConf

from r1lab.data.against import documents_of
from r1lab.data.duplicates import Duplicates
from r1lab.data.flags import Found, clean, fields, lines, values
from r1lab.data.loading import named_with_place
from r1lab.data.overlap import Match, Overlap
from r1lab.data.shards import Shards, with_fields
from r1lab.data.stream import Stream, stream
from r1lab.data.telling import tell
from r1lab.errors import DataError
from r1lab.rows.against import Benchmark, benchmarks_of
from r1lab.runs.folder import RunFolder, dumps
from r1lab.terminal import EVERY, lengthy
from r1lab.wording import plural


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Compare, and write the rows as a dataset.

    Leaves `dataset/` (parquet, with a column of flags for each benchmark, `contamination` with span and source of every
    match, and `duplicate_of`; with `task.remove` only the clean rows, as they were), and `flagged.jsonl`: one line for
    each flagged row.

    Returns:
        `contaminated/<benchmark>`, `contaminated`, `duplicates`, `rows`, `kept` and `seconds`.

    Raises:
        DataError: the rows or a benchmark cannot be read; nothing is written then.
    """
    datasets.disable_progress_bars()
    began = time.monotonic()
    task = cfg.task
    listed: Any = OmegaConf.to_container(task.against) if task.against else []
    benchmarks, faults = benchmarks_of(listed)
    if faults:
        raise DataError("\n".join(fault.text() for fault in faults))
    with lengthy(f"reading {named_with_place(cfg.dataset)}"):
        rows = stream(cfg.dataset)
    role = "prompt" if cfg.dataset.prompt else "messages"
    column = str(cfg.dataset[role])
    rows.texts(column, f"dataset.{role}")  # before benchmarks are fetched
    overlap = Overlap({item.label: documents_of(item) for item in benchmarks}, task.ngram)
    found = compare(rows, column, overlap, task, folder.path / ".scratch")
    if not found.rows:
        raise DataError(f"{rows.name} holds no row")
    metrics = counts(found, benchmarks)
    with lengthy(f"writing {plural(found.rows, 'row')}" + (" but the flagged ones" if task.remove else "")):
        kept = write(rows, found, benchmarks, folder.path, task, card(cfg, metrics))
    if found.empty:
        tell([f"{plural(found.empty, 'row')} without a prompt: compared with nothing"])
    return {**metrics, "kept": kept, "seconds": round(time.monotonic() - began, 2), "notes": notes(metrics, kept, task)}


def compare(rows: Stream, column: str, overlap: Overlap, task: DictConfig, scratch: Path) -> Found:
    """The first pass: matches with benchmarks, and duplicates among what is not to be left out."""
    found = Found()
    near = task.duplicates == "near"
    with Duplicates(scratch, task.similarity if near else 1.0, task.shingle) as duplicates:
        said = time.monotonic()
        for texts in rows.texts(column, "dataset.prompt"):
            matches: dict[int, list[Match]] = {}
            for match in overlap.find(texts):
                matches.setdefault(match.row, []).append(match)
            found.empty += (
                pc.sum(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(pc.fill_null(texts, ""))), 0)).as_py() or 0
            )
            if task.duplicates != "none":
                gone = pa.array([task.remove and row in matches for row in range(len(texts))], pa.bool_())
                duplicates.add(pc.if_else(gone, None, texts))
            found.matches |= {found.rows + row: items for row, items in matches.items()}
            found.rows += len(texts)
            if time.monotonic() - said >= EVERY:
                said = time.monotonic()
                print(f"decontaminate rows={found.rows} flagged={len(found.matches)}", flush=True)
        if task.duplicates != "none":
            with lengthy(f"looking for duplicates among {plural(found.rows, 'row')}"):
                found.repeats = {item.row: item for item in duplicates.find()}
    return found


def write(rows: Stream, found: Found, benchmarks: list[Benchmark], folder: Path, task: DictConfig, text: str) -> int:
    """The second pass: the rows with what was found, or without those that were; how many there are now."""
    flags = [] if task.remove else fields([item.label for item in benchmarks], task.duplicates != "none")
    taken = {flag.name for flag in flags}
    names = [name for name in rows.schema.names if name not in taken]
    if replaced := [name for name in rows.schema.names if name in taken]:
        tell([f"replaced {', '.join(replaced)}: the rows had such columns already"])
    schema = pa.schema([rows.schema.field(name) for name in names], rows.schema.metadata)
    schema = with_fields(schema, flags) if flags else schema
    beside = folder / ".flagged.jsonl.tmp"
    place = 0
    with beside.open("w", encoding="utf-8") as flagged, Shards(folder / "dataset", schema, text) as out:
        for batch in rows.batches(names):
            here = range(place, place + len(batch))
            flagged.writelines(dumps(line) + "\n" for line in lines(found, here))
            if task.remove:
                out.write(batch.filter(clean(found, here)))
            else:
                columns = [*batch.columns, *(values(found, here, flag) for flag in flags)]
                out.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            place += len(batch)
    beside.replace(folder / "flagged.jsonl")
    return out.rows


def counts(found: Found, benchmarks: list[Benchmark]) -> dict[str, Any]:
    """How many rows were found in each benchmark, in any, and how many repeat another one."""
    by_source = Counter(match.source for matches in found.matches.values() for match in matches)
    each = {f"contaminated/{item.label}": by_source[item.label] for item in benchmarks}
    return {"rows": found.rows, "contaminated": len(found.matches), **each, "duplicates": len(found.repeats)}


def notes(metrics: dict[str, Any], kept: int, task: DictConfig) -> list[str]:
    """What there is to say at the end."""
    told = ", ".join(f"{name.partition('/')[2]} {count:,}" for name, count in metrics.items() if "/" in name)
    said = [
        f"{metrics['contaminated']:,} of {plural(metrics['rows'], 'row')} contaminated" + (f": {told}" if told else "")
    ]
    if task.duplicates != "none":
        repeat = "repeats" if metrics["duplicates"] == 1 else "repeat"
        said.append(f"{plural(metrics['duplicates'], 'row')} {repeat} an earlier one ({task.duplicates})")
    return [*said, f"{plural(kept, 'row')} written" + (", none of them flagged" if task.remove else "")]


def card(cfg: DictConfig, metrics: dict[str, Any]) -> str:
    """The README of the dataset."""
    task = cfg.task
    names = ", ".join(name.partition("/")[2] for name in metrics if "/" in name) or "nothing"
    how = "left out" if task.remove else "flagged"
    name, source = cfg.task.output, cfg.dataset.get("repo") or "files"
    return (
        f"---\npretty_name: {name}\n---\n\n# {name}\n\n"
        f"Made by r1lab from `{source}`: rows that share {task.ngram} words in a row with {names} are {how}; "
        f"duplicates: {task.duplicates}.\n"
    )
