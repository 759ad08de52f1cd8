"""The dataset and what the rewards need of it, checked without loading a library for it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.config.source import parameters
from r1lab.errors import Finding
from r1lab.plan.fields import Where, is_column
from r1lab.plan.places import display, nearest, some

FORMATS = (".json", ".jsonl", ".csv", ".parquet")
GIVEN = ("completions", "prompts", "completion_ids", "trainer_state")
MOST_BROKEN = 5


def check_data(cfg: DictConfig, where: Where) -> list[Finding]:
    """A local file that is missing, empty or broken, a hub dataset without a repo, and columns that are not there."""
    findings: list[Finding] = []
    columns = list(cfg.dataset.columns) if cfg.dataset.get("columns") else None
    target = str(cfg.dataset._target_)
    if target == "r1lab.data.hub.load" and not cfg.dataset.get("repo"):
        findings.append(Finding("dataset.repo has no value", where("dataset"), fix="dataset.repo=ORG/NAME"))
    if target == "r1lab.data.local.load":
        for key in ("path", "test_path"):
            value = cfg.dataset.get(key)
            if value:
                found, faults = inspect_file(Path(value), where(f"dataset.{key}"))
                findings += faults
                columns = found if key == "path" and not faults else columns
            elif key == "path":
                findings.append(Finding("dataset.path has no value", where("dataset"), fix="dataset.path=FILE"))
    if columns is None:
        return findings
    return findings + check_columns(cfg, columns, where)


def check_columns(cfg: DictConfig, columns: list[str], where: Where) -> list[Finding]:
    """The prompt, the answer and every reward's columns against those of the dataset."""
    findings = []
    task = cfg.task.name
    roles = {"sft": ["messages"]}.get(task, ["prompt"])
    if task == "sft" and not cfg.dataset.get("messages"):
        roles = ["prompt", "answer"]
    for role in roles:
        name = cfg.dataset.get(role)
        if name not in columns:
            what = f"dataset.{role}={name}: the dataset has no such column"
            place = where(f"dataset.{role}")
            findings.append(Finding(what, place, nearest(str(name), columns), f"its columns: {some(columns)}"))
    available = {*columns, "solution"} if cfg.dataset.get("answer") in columns else set(columns)
    for name, reward in (cfg.get("reward") or {}).items():
        needed = [key for key, item in (parameters(str(reward._target_)) or {}).items() if is_column(item)]
        for column in needed:
            if column in available or column in GIVEN:
                continue
            what = f"reward {name} reads column {column!r}, which dataset {cfg.dataset.name} lacks"
            fix = f"its columns: {some(columns)}"
            if column == "solution":
                fix = f"name the gold answer's column: dataset.answer=…; {fix}"
            findings.append(Finding(what, where(f"reward.{name}"), nearest(column, columns), fix))
    return findings


def inspect_file(path: Path, place: str) -> tuple[list[str], list[Finding]]:
    """Column names of a local data file and every fault found in it.

    JSON lines are parsed to the last one, so that a broken line is found before a run and not in its third hour.
    """
    shown = display(path)
    if not path.exists():
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, siblings)
        return [], [Finding(f"{shown} does not exist", place, str(path.parent / close) if close else "")]
    if path.is_dir() or path.suffix not in FORMATS:
        return [], [Finding(f"{shown} is not a file that can be read", place, fix=f"one of {some(FORMATS)}")]
    if path.stat().st_size == 0:
        return [], [Finding(f"{shown} is empty", place)]
    try:
        reader = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".parquet": _parquet}[path.suffix]
        return reader(path, place, shown)
    except UnicodeDecodeError as error:
        return [], [Finding(f"{shown} is not UTF-8 text: byte {error.start} cannot be read", place)]
    except OSError as error:
        return [], [Finding(f"{shown} cannot be read: {error.strerror}", place)]


def _json_lines(path: Path, place: str, shown: str) -> tuple[list[str], list[Finding]]:
    columns: list[str] = []
    faults: list[Finding] = []
    rows = 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            fault, row = _parse(line)
            if not fault and isinstance(row, dict):
                rows += 1
                columns += [key for key in row if key not in columns]
                continue
            reason = fault or f"a row must be an object, not {type(row).__name__}"
            faults.append(Finding(f"{shown}:{number} is broken: {reason}", place, fix=_clip(line)))
            if len(faults) == MOST_BROKEN:
                break
    if not rows and not faults:
        faults.append(Finding(f"{shown} holds no row", place))
    return columns, faults


def _parse(text: str) -> tuple[str, Any]:
    try:
        return "", json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error.msg} at column {error.colno}", None
    except RecursionError:
        return "nested too deeply", None


def _clip(line: str, most: int = 60) -> str:
    text = line.strip()
    return f"the line reads: {text[:most]}{'…' if len(text) > most else ''}"


def _json(path: Path, place: str, shown: str) -> tuple[list[str], list[Finding]]:
    fault, rows = _parse(path.read_text(encoding="utf-8"))
    if fault:
        return [], [Finding(f"{shown} is broken: {fault}", place)]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return [], [Finding(f"{shown} must be a list of objects, and not an empty one", place)]
    return list(dict.fromkeys(key for row in rows for key in row)), []


def _csv(path: Path, place: str, shown: str) -> tuple[list[str], list[Finding]]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        header = next(reader, [])
        faults = []
        rows = 0
        try:
            for row in reader:
                rows += bool(row)
                if row and len(row) != len(header):
                    what = f"{shown}:{reader.line_num} has {len(row)} fields, the header {len(header)}"
                    faults.append(Finding(what, place))
        except csv.Error as error:
            faults.append(Finding(f"{shown}:{reader.line_num} is broken: {error}", place))
    if not rows and not faults:
        faults.append(Finding(f"{shown} holds no row", place))
    return header, faults[:MOST_BROKEN]


def _parquet(path: Path, place: str, shown: str) -> tuple[list[str], list[Finding]]:
    from pyarrow import ArrowInvalid  # heavy, and only parquet needs it
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except ArrowInvalid as error:
        return [], [Finding(f"{shown} is broken: {str(error).splitlines()[0]}", place)]
    if file.metadata.num_rows == 0:
        return [], [Finding(f"{shown} holds no row", place)]
    return list(file.schema_arrow.names), []
