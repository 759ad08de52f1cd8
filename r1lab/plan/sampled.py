"""What a dry run prints of tasks that sample from every row of a dataset: which rows, how often, and what is kept."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.rows.files import source_of
from r1lab.rows.look import look

OF_ALL_ROWS = ("filter", "generate")  # tasks for which nothing is held out
COUNTED = 2**24  # bytes of files that are read once more to count their rows


def sampled_facts(cfg: DictConfig) -> dict[str, str]:
    """The rows of `run` of a task of `OF_ALL_ROWS`."""
    task = cfg.task
    if task.name == "filter" and task.join:
        return {"rows": "those of the runs in task.join, put together; nothing is sampled"}
    count = rows_of(cfg)
    several = task.name == "filter" and task.confidence is not None
    sure = f"; fewer where a row's place is {task.confidence:g} clear" if several else ""
    return {
        "dataset": cfg.dataset.name,
        "rows": _part_of_filter(task, count) if task.name == "filter" else _part_of_generate(task, count),
        "samples": f"{task.n} of each row, temperature {task.temperature:g}, up to {task.max_tokens} tokens{sure}",
        "kept": _band(cfg) if task.name == "filter" else _kept(task),
    }


def rows_of(cfg: DictConfig) -> int | None:
    """How many rows a dataset has, where that is quickly told."""
    if path := cfg.dataset.get("path"):
        split = str(cfg.dataset.get("split") or "train")
        small = sum(file.stat().st_size for file in source_of(str(path), split).files) <= COUNTED
        return look(str(path), split=split).rows or None if small else None
    count = cfg.dataset.get("train") or cfg.dataset.get("rows")
    return count if isinstance(count, int) else None


def _part_of_filter(task: DictConfig, count: int | None) -> str:
    """Of which rows the task keeps some, numbered from 0."""
    whole = task.start == 0 and task.end is None and task.shards == 1
    if whole:
        return f"all {count:,}" if count else "all"
    if not count:
        part = f", part {task.shard} of 0 to {task.shards - 1}" if task.shards > 1 else ""
        return f"from {task.start} to {'the last' if task.end is None else task.end - 1}{part}"
    end = count if task.end is None else min(task.end, count)
    chosen = max(0, end - task.start)
    first, after = (task.start + chosen * shard // task.shards for shard in (task.shard, task.shard + 1))
    return f"{after - first:,} of {count:,}" + (f": {first} to {after - 1}, from 0" if after > first else "")


def _part_of_generate(task: DictConfig, count: int | None) -> str:
    if task.problems is None or (count and task.problems >= count):
        return f"all {count:,}" if count else "all"
    return f"the first {task.problems:,}" + (f" of {count:,}" if count else "")


def _band(cfg: DictConfig) -> str:
    """The band, and how many right samples lie in it."""
    task = cfg.task
    right = [times for times in range(task.n + 1) if task.low < times / task.n < task.high]
    told = f"{right[0]} to {right[-1]}" if len(right) > 1 else f"{right[0]}" if right else "none"
    reward = task.reward or next(iter(cfg.reward))
    outside = "; the others stay too, with kept=false" if task.keep_all else ""
    return f"{task.low:g} < mean of {reward} < {task.high:g} ({told} right of {task.n}){outside}"


def _kept(task: DictConfig) -> str:
    keep = task.keep
    unchecked = "right and wrong ones, none checked (task.keep.reward)"
    which = f"those that reach {keep.reward} ≥ {keep.least:g}" if keep.reward else unchecked
    return f"for SFT, {which}" + (f"; at most {keep.most} of a problem" if keep.most is not None else "")
