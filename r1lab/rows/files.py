"""Which files a path means: a file, a folder of shards, a glob, or a folder that `datasets` saved."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from r1lab.errors import Finding
from r1lab.wording import display, nearest, some

FORMATS = (".json", ".jsonl", ".csv", ".parquet")
SAVED = ".arrow"  # the format of a folder that `Dataset.save_to_disk` left
MAGIC = "*?["


@dataclass(frozen=True)
class Source:
    """The files of a path, all of one format.

    Attributes:
        format: one of `FORMATS`, or `SAVED`.
        files: in the order they are read.
        folder: what `datasets.load_from_disk` takes; only of `SAVED`.
        faults: why there is nothing to read; then the rest is empty.
    """

    format: str = ""
    files: list[Path] = field(default_factory=list)
    folder: Path | None = None
    faults: list[Finding] = field(default_factory=list)


def source_of(path: str, split: str = "train", key: str = "dataset.path") -> Source:
    """The files that a path means.

    Args:
        path: a file, a folder, or a pattern (`data/*.jsonl`, `data/**/part-?.parquet`).
        split: which part of a folder that a `DatasetDict` was saved to.
        key: what the config calls the path, for messages.
    """
    place = Path(path)
    if any(sign in path for sign in MAGIC) and not place.exists():
        base = Path(place.anchor or ".")
        files = sorted(item for item in base.glob(str(place.relative_to(place.anchor))) if item.is_file())
        return _shards(files, f"{path} matches no file", path, key)
    if not place.exists():
        siblings = [item.name for item in place.parent.iterdir()] if place.parent.is_dir() else []
        close = nearest(place.name, siblings)
        fix = "" if close else f"{key}=FILE, from where the command is run"
        return _fault(f"{display(place)} does not exist", str(place.parent / close) if close else "", fix)
    if place.is_dir():
        return _folder(place, split, key)
    if place.suffix.lower() not in FORMATS:
        return _fault(f"{display(place)} is not a file that can be read", fix=f"one of {some(FORMATS)}")
    return Source(place.suffix.lower(), [place])


def _fault(what: str, close: str = "", fix: str = "") -> Source:
    return Source(faults=[Finding(what, nearest=close, fix=fix)])


def _folder(folder: Path, split: str, key: str) -> Source:
    if (folder / "dataset_dict.json").is_file():
        known = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        if split not in known:
            close = nearest(split, known)
            nearby = f"{key.replace('path', 'split')}={close}" if close else ""
            return _fault(f"{display(folder)} has no split {split!r}", nearby, f"its splits: {some(known)}")
        folder = folder / split
    if (folder / "state.json").is_file():
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        files = [folder / str(item["filename"]) for item in state.get("_data_files", [])]
        missing = [file for file in files if not file.is_file()]
        if missing or not files:
            what = f"{display(missing[0] if missing else folder)} is missing from the saved dataset {display(folder)}"
            return _fault(what, fix="save it again with Dataset.save_to_disk")
        return Source(SAVED, files, folder)
    files = sorted(item for item in folder.rglob("*") if item.suffix.lower() in FORMATS and item.is_file())
    shown = f"{display(folder)} holds no file that can be read and is no folder that datasets saved"
    return _shards(files, shown, display(folder), key)


def _shards(files: list[Path], none: str, shown: str, key: str) -> Source:
    formats = sorted({file.suffix.lower() for file in files})
    if not files:
        return _fault(none, fix=f"one of {some(FORMATS)}")
    if odd := [item for item in formats if item not in FORMATS]:
        first = next(file for file in files if file.suffix.lower() == odd[0])
        return _fault(f"{display(first)} is not a file that can be read", fix=f"one of {some(FORMATS)}")
    if len(formats) > 1:
        fix = f"{key}='{shown.rstrip('/')}/*{formats[0]}'"
        return _fault(f"{shown} holds files of several formats: {', '.join(formats)}", fix=fix)
    return Source(formats[0], files)
