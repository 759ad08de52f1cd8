"""Rows from a dataset of the Hub, or from a folder laid out like one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import datasets
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetNotFoundError, DatasetsError

from r1lab.data.splits import Splits, keep_apart, split_off
from r1lab.errors import DataError, Finding

PAGE = "https://huggingface.co/datasets/"


def load(
    *,
    repo: str | None = None,
    revision: str | None = None,
    config: str | None = None,
    files: list[str] | None = None,
    split: str | None = "train",
    test_split: str | None = None,
    test: float = 400,
    seed: int = 42,
    prompt: str | None = None,
    messages: str | None = None,
    text: str | None = None,
) -> Splits:
    """Load a Hub dataset.

    Args:
        repo: ORG/NAME, or a local folder laid out like a repository.
        revision: a commit, tag or branch.
        config: one of the repository's configurations.
        files: these files of the repository (json, jsonl, csv or parquet) instead of what `datasets` makes of it: for
            one that needs a script. Their rows are the split "train".
        split: the rows to train on; null for a dataset that is only evaluated on.
        test_split: the held-out rows; without it, `test` rows are split off `split`, the same ones for every run.
        test: rows to hold out, or their share below 1, at most half; of a `test_split` all.
        seed: of the split.
        prompt, messages, text: the columns that make two rows the same problem.

    Raises:
        DataError: the Hub does not give it.
    """
    columns = (prompt, messages, text)
    held_out = read(repo or "", config, test_split, revision, files=files) if test_split else None
    if not split:
        if held_out is None:
            raise DataError(f"dataset.repo={repo}: both dataset.split and dataset.test_split are null")
        return Splits(held_out.select([]), held_out)
    rows = read(repo or "", config, split, revision, files=files)
    return split_off(rows, test, seed, columns) if held_out is None else keep_apart(rows, held_out, columns)


def read(
    repo: str,
    config: str | None,
    split: str,
    revision: str | None = None,
    key: str = "dataset.repo",
    files: Sequence[str] | None = None,
) -> Dataset:
    """One split of a Hub dataset; `key` is what the config calls the repository.

    Raises:
        DataError: saying whether it is gated, absent, out of reach, or has no such config or split.
    """
    try:
        if files:
            base = repo if Path(repo).is_dir() else f"hf://datasets/{repo}@{revision or 'main'}"
            form = {".jsonl": "json"}.get(suffix := Path(files[0]).suffix, suffix.removeprefix("."))
            rows = load_dataset(form, data_files=[f"{base}/{file}" for file in files], split=split)
        else:
            rows = load_dataset(repo, config, revision=revision, split=split)
    except (OSError, ValueError, TypeError, DatasetsError) as error:
        raise DataError(_explained(repo, config, split, key, error).text()) from error
    assert isinstance(rows, Dataset)
    return rows


def _explained(repo: str, config: str | None, split: str, key: str, error: Exception) -> Finding:
    what, text = f"{key}={repo} cannot be loaded", str(error)
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    if "gated" in text.lower() or "401" in text or "403" in text:
        fix = f"ask for access at {PAGE}{repo}, then log in: hf auth login, or HF_TOKEN in the environment"
        return Finding(f"{what}: it is gated, or you are not logged in", fix=fix)
    if datasets.config.HF_HUB_OFFLINE and isinstance(error, ConnectionError):
        offline = "HF_HUB_OFFLINE is set, so nothing is fetched from the Hub, and this machine has no copy of it"
        fix = f"where there is a network: hf download --repo-type dataset {repo}; or dataset=local dataset.path=FOLDER"
        return Finding(f"{what}: {offline}", fix=fix)
    if isinstance(error, ConnectionError):
        fix = f"check the network; or dataset=local dataset.path=FOLDER ({first})"
        return Finding(f"{what}: the Hub cannot be reached, and this machine has no copy of it", fix=fix)
    if isinstance(error, DatasetNotFoundError):
        fix = f"is it at {PAGE}{repo}? A private one needs hf auth login"
        return Finding(f"{what}: the Hub has no such dataset that you may read", fix=fix)
    if text.startswith(("Config name is missing", "BuilderConfig ")):
        known = text.partition("[")[2].partition("]")[0].replace("'", "")
        missing = f"it has no config {config!r}" if config else "it has several configs"
        return Finding(f"{what}: {missing}", fix=f"dataset.config=NAME, one of: {known}")
    if text.startswith("Unknown split"):
        known = text.partition("[")[2].partition("]")[0].replace("'", "")
        return Finding(f"{what}: it has no split {split!r}", fix=f"dataset.split=NAME, one of: {known}")
    if "save_to_disk" in text:
        return Finding(f"{what}: datasets saved that folder", fix=f"dataset=local dataset.path={repo}")
    return Finding(f"{what}: {first}")
