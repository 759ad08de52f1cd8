"""The dataset and what the rewards need of it, checked without loading a library for it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.plan.rewards import needed_columns
from r1lab.wording import display, nearest, plural, some

FORMATS = (".json", ".jsonl", ".csv", ".parquet")
MOST_BROKEN = 5


def check_data(cfg: DictConfig, where: Where) -> list[Finding]:
    """A local file that is missing, empty or broken, a hub dataset without a repo, and columns that are not there."""
    findings: list[Finding] = []
    sets: list[tuple[str, list[str]]] = []  # what to call each set of rows, and its columns
    if cfg.dataset.get("columns"):
        sets = [(f"dataset {cfg.dataset.name}", list(cfg.dataset.columns))]
    target = str(cfg.dataset._target_)
    if target == "r1lab.data.hub.load" and not cfg.dataset.get("repo"):
        findings.append(Finding("dataset.repo has no value", where("dataset"), fix="dataset.repo=ORG/NAME"))
    if target == "r1lab.data.local.load":
        for key in ("path", "test_path"):
            value = cfg.dataset.get(key)
            if value:
                found, faults = inspect_file(Path(value), where(f"dataset.{key}"))
                findings += faults
                sets += [] if faults else [(display(Path(value)), found)]
            elif key == "path":
                findings.append(Finding("dataset.path has no value", where("dataset"), fix="dataset.path=FILE"))
    return findings + [fault for name, columns in sets for fault in check_columns(cfg, name, columns, where)]


def check_columns(cfg: DictConfig, rows: str, columns: list[str], where: Where) -> list[Finding]:
    """The prompt, the answer and every reward's columns against those of a set of rows.

    Args:
        cfg: the resolved run.
        rows: what to call the rows.
        columns: their columns.
        where: where a key was said.
    """
    findings = []
    needed = needed_columns(cfg)
    roles = ["prompt"]
    if cfg.task.name == "sft":
        roles = ["messages"] if cfg.dataset.get("messages") else ["prompt", "answer"]
    if any("solution" in names for names in needed.values()):
        roles = [*dict.fromkeys([*roles, "answer"])]
    for role in roles:
        name = cfg.dataset.get(role)
        if name not in columns:
            what = f"dataset.{role}={name}: {rows} has no such column"
            readers = [reward for reward, names in needed.items() if "solution" in names]
            if role == "answer" and readers:
                what += f"; reward {readers[0]} compares with it"
            close = nearest(str(name), columns) or (columns[0] if len(columns) == 1 else "")
            fix = f"dataset.{role}=COLUMN, one of: {some(columns)}"
            findings.append(Finding(what, where(f"dataset.{role}"), f"dataset.{role}={close}" if close else "", fix))
    for name, names in needed.items():
        for column in names:
            if column not in {*columns, "solution"}:
                what = f"reward {name} reads column {column!r}, which {rows} lacks"
                fix = f"rename one of its columns: {some(columns)}"
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
        fix = "" if close else "dataset.path=FILE, from where the command is run"
        return [], [Finding(f"{shown} does not exist", place, str(path.parent / close) if close else "", fix)]
    if path.is_dir() or path.suffix.lower() not in FORMATS:
        return [], [Finding(f"{shown} is not a file that can be read", place, fix=f"one of {some(FORMATS)}")]
    if path.stat().st_size == 0:
        return [], [Finding(f"{shown} is empty", place)]
    try:
        reader = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".parquet": _parquet}[path.suffix.lower()]
        return reader(path, place, shown)
    except UnicodeDecodeError as error:
        what = f"{shown}:{_undecodable_line(path)} is not UTF-8 text: {error.reason}"
        return [], [Finding(what, place, fix=f"iconv -f latin1 -t utf-8 {shown}")]
    except OSError as error:
        return [], [Finding(f"{shown} cannot be read: {error.strerror}", place)]


def _undecodable_line(path: Path) -> int:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


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
                    what = f"{shown}:{reader.line_num} has {plural(len(row), 'field')}, the header {len(header)}"
                    faults.append(Finding(what, place, fix='put quotes around a field that holds a comma: "1,000"'))
                    if len(faults) == MOST_BROKEN:
                        break
        except csv.Error as error:
            faults.append(Finding(f"{shown}:{reader.line_num} is broken: {error}", place))
    if not rows and not faults:
        faults.append(Finding(f"{shown} holds no row", place))
    return header, faults


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
