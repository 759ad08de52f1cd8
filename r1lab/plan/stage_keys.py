"""What a stage's result depends on, as one key: equal keys, equal folder, nothing to run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.runs.resume import flatten, of_place

FORM = 1  # another number where r1lab means something else by the same words
LENGTH = 12  # hexadecimal digits in a folder's name
UNSAID = ("name", "objective")  # what a run is called, and which of its figures is its result
FOLDERS = ("path", "test_path", "completions")  # keys' last parts whose folders and patterns are read
WRITTEN = ("task.store", "task.output")  # and these are added to
MAGIC = "*?["  # of a pattern
WHOLE = 2**26  # bytes of a file up to which its content counts; beyond, its size and the time of its last change


def key_of(cfg: DictConfig, inputs: Mapping[str, str]) -> str:
    """The key of a planned stage.

    Args:
        cfg: its resolved config.
        inputs: the folder of each stage that it takes something from → that stage's key.

    Returns:
        Hexadecimal digits, from: every value but those that say where it runs; the keys of its inputs; the content of
        files that it reads beside them; and r1lab's version without its last part, which only mends.
    """
    said = flatten(OmegaConf.to_container(cfg, resolve=True))
    values = {key: value for key, value in said.items() if not of_place(key) and key.split(".")[0] not in UNSAID}
    read = {key: _read(key, text) for key, text in _texts(values) if not _under(text, inputs)}
    files = {key: [stamp(path) for path in paths] for key, paths in read.items() if paths}
    parts = {
        "form": FORM,
        "r1lab": version("r1lab").rpartition(".")[0],
        "values": _without_folders(values, inputs),
        "files": files,
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a config, in lists as well, by dotted key."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict | list):
        for name, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _texts(item, f"{key}.{name}".lstrip("."))


def _read(key: str, text: str) -> list[Path]:
    """The files and folders that a text names: any file; a folder where it is said as one, not as a chance name."""
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    of_paths = key.rpartition(".")[2] in FOLDERS
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            return [path] if path.name and key not in WRITTEN and (of_paths or "/" in text) else []
    except (OSError, ValueError):  # no path at all: longer than one can be, or with a zero byte
        return []
    if not of_paths or not any(sign in text for sign in MAGIC):
        return []
    base = Path(path.anchor)
    return sorted(item for item in base.glob(str(path.relative_to(path.anchor))) if item.is_file())


def _under(value: Any, inputs: Mapping[str, str]) -> bool:
    return any(folder in str(value) for folder in inputs)


def _without_folders(value: Any, inputs: Mapping[str, str]) -> Any:
    """A value with each input's folder replaced by its key: where a pipeline stands is nothing to its results."""
    if isinstance(value, str):
        for folder, key in inputs.items():
            value = value.replace(folder, f"stage:{key}")
        return value
    if isinstance(value, list):
        return [_without_folders(item, inputs) for item in value]
    return {name: _without_folders(item, inputs) for name, item in value.items()} if isinstance(value, dict) else value


def stamp(path: Path) -> Any:
    """What stands for the content of a file, or of a folder's files; None where there is nothing."""
    if path.is_file():
        stat = path.stat()
        if stat.st_size > WHOLE:
            return [stat.st_size, stat.st_mtime_ns]
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if path.is_dir():
        return {str(file.relative_to(path)): stamp(file) for file in sorted(path.rglob("*")) if file.is_file()}
    return None
