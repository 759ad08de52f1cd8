"""From the config's dataset to rows that a trainer takes: conversations, with the gold answer in `solution`."""

from __future__ import annotations

import hashlib
from importlib import import_module
from typing import Any

from datasets import Dataset
from omegaconf import DictConfig, OmegaConf

from r1lab.config.source import parameters
from r1lab.data.splits import Splits
from r1lab.errors import DataError

TAKEN = {"completions", "completion_ids", "prompts"}  # what rewards get beside the dataset's columns


def load(cfg: DictConfig) -> Splits:
    """Call the dataset's loader with its own parameters and name its columns as rewards and trainers know them.

    Args:
        cfg: the `dataset` node of a run.

    Returns:
        Splits whose rows have `prompt` (a conversation) and `solution` (text) where the config names such columns,
        `messages` where there are traces, and every other column as it was.

    Raises:
        DataError: a column that the config names is not there, or no row is.
    """
    target = str(cfg._target_)
    known = parameters(target) or {}
    container: Any = OmegaConf.to_container(cfg, resolve=True)
    values = {key: value for key, value in container.items() if key in known}
    module, _, name = target.rpartition(".")
    splits: Splits = getattr(import_module(module), name)(**values)
    for rows in (splits.train, splits.test):
        check_columns(rows, cfg)
    if len(splits.train) == 0:
        raise DataError(f"dataset {cfg.name} has no row to train on")
    if taken := TAKEN & set(splits.train.column_names):
        raise DataError(f"dataset {cfg.name} has a column {taken.pop()!r}, a name that rewards are given: rename it")
    result = Splits(canonical(splits.train, cfg), canonical(splits.test, cfg))
    if cfg.answer in splits.train.column_names and not any(answer is not None for answer in result.train["solution"]):
        raise DataError(f"dataset {cfg.name} has no answer: column {cfg.answer} is empty in every row")
    return result


def check_columns(rows: Dataset, cfg: DictConfig) -> None:
    """Refuse a column of traces, or of prompts where there are no traces, that the rows lack."""
    for role in ("messages",) if cfg.messages else ("prompt",):
        column = cfg.get(role)
        if column and len(rows) and column not in rows.column_names:
            raise DataError(
                f"dataset.{role}={column}: dataset {cfg.name} has no such column\n"
                f"    fix      its columns: {', '.join(rows.column_names)}"
            )


def canonical(rows: Dataset, cfg: DictConfig) -> Dataset:
    """Rows with `prompt` as a conversation and the answer as `solution`; a column in their way is replaced."""
    system = [{"role": "system", "content": cfg.system_prompt}] if cfg.system_prompt else []

    def name_columns(row: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {}
        if cfg.prompt in row:
            prompt = row[cfg.prompt]
            if not prompt:
                raise DataError(
                    f"dataset {cfg.name} has a row without a prompt (column {cfg.prompt}): {str(row)[:200]}"
                )
            named["prompt"] = system + ([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt)
        if cfg.answer in row:
            answer = row[cfg.answer]
            named["solution"] = None if answer is None else str(answer)
        if cfg.messages in row:
            messages = row[cfg.messages]
            named["messages"] = system + messages if messages else None
        return named

    sources = {"prompt": cfg.prompt, "solution": cfg.answer, "messages": cfg.messages}
    in_the_way = [name for name, source in sources.items() if name in rows.column_names and source in rows.column_names]
    named = rows.map(name_columns, remove_columns=in_the_way, desc=None) if len(rows) else rows
    assert isinstance(named, Dataset)
    return named


def conversations(rows: Dataset) -> Dataset:
    """Rows for SFT: `prompt` and `completion`, from `messages` or from prompt and solution."""

    def split(row: dict[str, Any]) -> dict[str, Any]:
        if row.get("messages"):
            return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}
        return {"prompt": row["prompt"], "completion": [{"role": "assistant", "content": row["solution"]}]}

    result = rows.map(split, remove_columns=rows.column_names, desc=None)
    assert isinstance(result, Dataset)
    return result


def fingerprint(rows: Dataset) -> str:
    """A hash of the rows' content: equal content, equal fingerprint, wherever it was loaded from."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(sorted(row.items())).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]


def last_user_text(prompt: list[dict[str, str]] | str) -> str:
    """The text of a prompt's last message."""
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]
