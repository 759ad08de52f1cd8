"""The parts of a sharded run of task=filter as one dataset."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf
from pyarrow.parquet import ParquetFile

from r1lab.data.shards import Shards
from r1lab.errors import ConfigError, Finding, ResumeError
from r1lab.runs.folder import RunFolder
from r1lab.runs.resume import flatten
from r1lab.runs.states import FINISHED
from r1lab.wording import display, plural, some

COUNTS = (
    "rows",
    "kept",
    "below",
    "above",
    "unmeasured",
    "samples",
    "samples_saved",
    "completions",
    "failures",
    "tokens",
)
OF_A_PART = (
    "task.shard",
    "task.start",
    "task.end",
    "task.shards",
    "task.store",
    "name",
    "resume",
    "outputs",
    "dry_run",
)
ALIKE = ("task", "model", "dataset", "reward", "seed")  # what parts of one dataset have in common


def join(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Put the parts that `task.join` names together, in the order of their rows.

    Raises:
        ConfigError: a part is missing, unfinished, overlaps another one, or was made in another way.
    """
    parts = [RunFolder(path) for path in folders_of(cfg.task.join)]
    heads = [head_of(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda i: (heads[i]["first"], heads[i]["after"]))
    parts, heads = [parts[i] for i in order], [heads[i] for i in order]
    refuse_gaps(parts, heads)
    refuse_differences(parts)
    files = [sorted((part.path / "dataset/data").glob("*.parquet")) for part in parts]
    schema = ParquetFile(files[0][0]).schema_arrow
    text = (parts[0].path / "dataset/README.md").read_text(encoding="utf-8")
    beside = folder.path / ".pass_rates.jsonl.tmp"
    with beside.open("wb") as rates, Shards(folder.path / "dataset", schema, text) as out:
        for part, own in zip(parts, files, strict=True):
            rates.write((part.path / "pass_rates.jsonl").read_bytes())
            for file in own:
                for batch in ParquetFile(file).iter_batches():
                    out.write(batch if batch.schema == schema else pa.RecordBatch.cast(batch, schema))
    beside.replace(folder.path / "pass_rates.jsonl")
    counts: Counter[str] = Counter()
    for head in heads:
        counts.update({name: head[name] for name in COUNTS})
    metrics = {name: counts[name] for name in COUNTS}
    folder.write_json("filter.json", {"first": heads[0]["first"], "after": heads[-1]["after"], **metrics})
    return {
        **metrics,
        "notes": [f"{plural(len(parts), 'part')} joined: {counts['kept']:,} of {counts['rows']:,} rows kept."],
    }


def folders_of(said: Any) -> list[Path]:
    """The runs of a sweep's folder, or those of a list.

    Raises:
        ConfigError: there is none.
    """
    named = [Path(str(item)) for item in (said if OmegaConf.is_list(said) else [said])]
    found = [run.parent for path in named for run in sorted([*path.glob("run.yaml"), *path.glob("*/run.yaml")])]
    if not found:
        shown = some(map(display, named))
        raise ConfigError(
            [Finding(f"{shown} holds no run", "task.join", fix="the folder of a sweep, or [RUN, RUN, …]")]
        )
    return found


def head_of(part: RunFolder) -> dict[str, Any]:
    """What a finished part says of itself.

    Raises:
        ConfigError: it is not finished, or no part.
    """
    head = part.read_json("filter.json")
    if not head or part.read_json("manifest.json").get("status") != FINISHED:
        shown = display(part.path)
        raise ConfigError(
            [Finding(f"{shown} holds no finished part", "task.join", fix=f"python -m r1lab resume={shown}, then join")]
        )
    return head


def refuse_gaps(parts: list[RunFolder], heads: list[dict[str, Any]]) -> None:
    """Refuse parts that leave rows out between them, or hold some twice."""
    findings = []
    for one, other, before, after in zip(parts, parts[1:], heads, heads[1:], strict=False):
        end, begin = before["after"], after["first"]
        how = f"rows {end} to {begin - 1} are in no part" if end < begin else f"rows {begin} to {end - 1} are in both"
        if end != begin:
            findings.append(Finding(f"{display(one.path)} and {display(other.path)}: {how}", "task.join"))
    shards = {int(part.read_config().task.shards) for part in parts}
    if not findings and len(shards) == 1 and len(parts) < (wanted := shards.pop()):
        there = {int(part.read_config().task.shard) for part in parts}
        missing = some(str(number) for number in sorted(set(range(wanted)) - there))
        findings.append(
            Finding(f"{len(parts)} of {wanted} parts are there: task.shard {missing} is missing", "task.join")
        )
    if findings:
        raise ConfigError(findings)


def refuse_differences(parts: list[RunFolder]) -> None:
    """Refuse parts that were not made in the same way."""
    first = _of(parts[0])
    for part in parts[1:]:
        other = _of(part)
        for key in {**first, **other}:
            if first.get(key) != other.get(key):
                one, another = (
                    f"{said.get(key)} in {display(run.path)}" for said, run in ((first, parts[0]), (other, part))
                )
                what = f"{key} is {one} and {another}"
                raise ConfigError([Finding(what, "task.join", fix="join runs that differ in task.shard alone")])


def _of(part: RunFolder) -> dict[str, Any]:
    try:
        whole: Any = OmegaConf.to_container(part.read_config(), resolve=True)
    except ResumeError as error:
        raise ConfigError([Finding(str(error), "task.join")]) from None
    said = flatten({name: whole.get(name) for name in ALIKE})
    return {key: json.loads(json.dumps(value, default=str)) for key, value in said.items() if key not in OF_A_PART}
