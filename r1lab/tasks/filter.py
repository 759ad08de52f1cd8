"""task=filter: pass rates of a dataset's problems, and the dataset of those inside a band.

Source: DAPO (Yu et al. 2025, arXiv 2503.14476, section 3.2): a group of completions that are all right or all wrong has
no advantage, and teaches nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, List, Value
from omegaconf import DictConfig, OmegaConf

from r1lab.data import loading as data
from r1lab.data.shards import Shards
from r1lab.engines.base import Completion
from r1lab.engines.store import Lookup, Store
from r1lab.engines.stored import completions_of
from r1lab.errors import DataError, EngineError
from r1lab.evaluation.pass_rates import Band, Stopping
from r1lab.evaluation.sampling import mean_of
from r1lab.generation.engines import ready
from r1lab.generation.joining import COUNTS, join
from r1lab.generation.meter import Meter
from r1lab.generation.output import whole_text
from r1lab.generation.prompts import Prompts
from r1lab.generation.rates import Measured, looks_of, measure
from r1lab.generation.scoring import scored
from r1lab.rewards.base import Reward, build_all
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder, dumps
from r1lab.tasks.generate import AT_ONCE, SCORES, in_chunks, refuse_tokens, sampling_of
from r1lab.tasks.quiet import quiet
from r1lab.terminal import lengthy
from r1lab.wording import plural

RATES = "pass_rates.jsonl"


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Measure pass rates and keep the rows of the band.

    Leaves `dataset/` (the rows that are kept, each with `row`, `generations`, `finishes`, `tokens`, `rewards`,
    `pass_rates` and `pass_rate`), `pass_rates.jsonl` (a line for every row), and the store unless it stands elsewhere.

    Returns:
        `rows`, `kept`, `below`, `above`, `unmeasured`, `samples`, `samples_saved`, `failures`, `tokens` and more.

    Raises:
        UserError: a column is missing, a row has no prompt, parts that are to be joined do not fit.
        EngineError: the engine fails as a whole, or nothing at all could be made.
        StorageError: the disk is full.
    """
    quiet()
    if cfg.task.join:
        return join(cfg, folder)
    rows, numbers = rows_of(cfg)
    prompts = Prompts(rows, cfg.task.template, cfg.task.system_prompt)
    rewards = build_all(cfg)
    data.require_columns(rows, rewards, cfg.dataset.name)
    refuse_tokens(rewards)
    first = next(reward for reward in rewards if reward.__name__ == (cfg.task.reward or rewards[0].__name__))
    settings = OmegaConf.to_container(cfg.reward, resolve=True)
    manifest.add(folder, dataset={"rows": len(rows), "fingerprint": data.fingerprint(rows)})
    sampling = sampling_of(cfg)
    band = Band(cfg.task.low, cfg.task.high, sampling.n)
    stopping = Stopping(band, cfg.task.confidence, looks_of(sampling.n)) if cfg.task.confidence else None
    began = datetime.fromisoformat(folder.read_json("manifest.json")["started"]).timestamp()
    at = time.monotonic()

    def judge(places: Sequence[int], completions: list[list[Completion]]) -> list[list[float | None]]:
        sampled = scored(folder.path / SCORES, rows.select(places), completions, [first], settings)
        return sampled.scores[first.__name__]

    with Store(Path(cfg.task.store) if cfg.task.store else folder.store) as store:
        measured = Measured([], [], [])
        with Meter(folder, began) as meter:
            if numbers:
                with ready(cfg, folder.path) as made:
                    told = (meter.progress, meter.completion)
                    measured = measure(made, store, prompts, sampling, stopping, judge, *told)
        with store.lookup() as lookup, lengthy(f"judging and writing what was made of {plural(len(rows), 'row')}"):
            counts = write(cfg, folder, rows, numbers, rewards, first.__name__, band, measured, lookup)
    if numbers and not counts["completions"]:
        cause = next((item.error for item in measured.failures.values()), "the engine gave none")
        raise EngineError(f"no completion could be made: {cause}")
    metrics = {name: counts[name] for name in COUNTS}
    folder.write_json("filter.json", {"first": numbers.start, "after": numbers.stop, **metrics})
    return {
        **metrics,
        **meter.overall,
        "seconds": round(time.monotonic() - at, 2),
        "notes": notes(cfg, metrics, folder),
    }


def rows_of(cfg: DictConfig) -> tuple[Any, range]:
    """The rows of this run's part, and their places in the dataset; none, where there are more parts than rows.

    Raises:
        DataError: there is none for any part.
    """
    task, rows = cfg.task, data.load(cfg.dataset, "generate").train
    end = len(rows) if task.end is None else min(task.end, len(rows))
    count = max(0, end - task.start)
    numbers = range(
        task.start + count * task.shard // task.shards, task.start + count * (task.shard + 1) // task.shards
    )
    if not count:
        where = f"task.start={task.start} task.end={task.end}"
        raise DataError(f"dataset {cfg.dataset.name} has {plural(len(rows), 'row')}: none is left for {where}")
    return rows.select(numbers), numbers


def features_of(own: Features, rewards: Sequence[str], keep_all: bool) -> Features:
    """The columns of the dataset that is left: the rows' own, and what was made of them."""
    made = {
        "row": Value("int64"),
        "generations": List(Value("string")),
        "finishes": List(Value("string")),
        "tokens": List(Value("int64")),
        "rewards": {name: List(Value("float64")) for name in rewards},
        "pass_rates": {name: Value("float64") for name in rewards},
        "pass_rate": Value("float64"),
        **({"kept": Value("bool")} if keep_all else {}),
    }
    return Features({**{name: kind for name, kind in own.items() if name not in made}, **made})


def write(
    cfg: DictConfig,
    folder: RunFolder,
    rows: Any,
    numbers: range,
    rewards: Sequence[Reward],
    first: str,
    band: Band,
    measured: Measured,
    lookup: Lookup,
) -> Counter[str]:
    """Score everything and write what is kept, a few problems at a time; what there was, in numbers."""
    names = [reward.__name__ for reward in rewards]
    settings = OmegaConf.to_container(cfg.reward, resolve=True)
    schema = features_of(rows.features, names, cfg.task.keep_all).arrow_schema
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    counts["failures"] = len(measured.failures)
    beside = folder.path / f".{RATES}.tmp"
    with beside.open("w", encoding="utf-8") as rates, Shards(folder.path / "dataset", schema, card(cfg, first)) as out:
        for places in in_chunks(len(rows), AT_ONCE):
            every = [completions_of(lookup, measured.keys[i], measured.seen[i], measured.failures) for i in places]
            made = [[item for item in row if not item.error] for row in every]
            some = rows.select(places)
            sampled = scored(folder.path / SCORES, some, made, rewards, settings)
            records = []
            for at, i in enumerate(places):
                marks = {name: sampled.scores[name][at] for name in names}
                rate = mean_of(marks[first])
                kept = measured.decisions[i]
                if kept is None:
                    kept = rate is not None and band.holds(rate)
                place = "unmeasured" if rate is None else "kept" if kept else side(rate, band)
                counts.update({place: 1, "rows": 1, "samples": measured.seen[i], "completions": len(made[at])})
                counts["samples_saved"] += band.n - measured.seen[i]
                counts["tokens"] += sum(item.tokens for item in made[at])
                line = {"row": numbers[i], "pass_rate": rate, "samples": measured.seen[i], "place": place}
                rates.write(dumps(line) + "\n")
                if kept or cfg.task.keep_all:
                    record = {
                        "row": numbers[i],
                        "generations": [whole_text(item) for item in made[at]],
                        "finishes": [item.finish for item in made[at]],
                        "tokens": [item.tokens for item in made[at]],
                        "rewards": marks,
                        "pass_rates": {name: mean_of(marks[name]) for name in names},
                        "pass_rate": rate,
                        "kept": kept,
                    }
                    records.append({**some[at], **record})
            if records:
                fitted = [{name: record.get(name) for name in schema.names} for record in records]
                out.write(pa.RecordBatch.from_pylist(fitted, schema))
    beside.replace(folder.path / RATES)
    return counts


def side(rate: float, band: Band) -> str:
    """On which side of the band a rate lies that is not kept."""
    return "below" if rate <= band.low or rate < (band.low + band.high) / 2 else "above"


def card(cfg: DictConfig, first: str) -> str:
    """README.md of the dataset."""
    task, model = cfg.task, cfg.model.repo or cfg.model.name
    early = "" if task.confidence is None else f"; sampling stopped early at confidence {task.confidence:g}"
    rows = cfg.dataset.get("repo") or cfg.dataset.name
    return (
        f"---\npretty_name: {cfg.name}\n---\n\n# {cfg.name}\n\n"
        f"Made with r1lab: rows of `{rows}` that `{model}` solves sometimes: the mean of {first} over {task.n} "
        f"completions is above {task.low:g} and below {task.high:g} (temperature {task.temperature:g}, top-p "
        f"{task.top_p:g}, at most {task.max_tokens:,} tokens, seed {task.seed}{early}).\n"
    )


def notes(cfg: DictConfig, metrics: dict[str, Any], folder: RunFolder) -> list[str]:
    """What came out, in plain sentences."""
    task = cfg.task
    said = [
        f"{metrics['kept']:,} of {plural(metrics['rows'], 'row')} kept ({task.low:g} < mean < {task.high:g}); "
        f"{metrics['below']:,} below, {metrics['above']:,} above, {metrics['unmeasured']:,} that could not be measured."
    ]
    if task.confidence:
        share = metrics["samples_saved"] / max(1, metrics["samples_saved"] + metrics["samples"])
        said.append(f"{metrics['samples_saved']:,} samples saved, {share:.0%} of all (confidence {task.confidence:g}).")
    if metrics["failures"]:
        said.append(f"{metrics['failures']:,} completions could not be made. Resume the run to try them again.")
    if not metrics["kept"]:
        return [*said, "There is no row to train on. " + advice(task, metrics)]
    return [
        *said,
        f"dataset=local dataset.path={folder.path / 'dataset'} dataset.prompt=prompt dataset.answer=solution",
    ]


def advice(task: DictConfig, metrics: dict[str, Any]) -> str:
    """What to change where nothing was kept."""
    below, above = metrics["below"], metrics["above"]
    model = (
        "" if not below + above else "a better model, or " if not above else "a weaker model, or " if not below else ""
    )
    return (
        f"Try {model}wider bounds than task.low={task.low:g} task.high={task.high:g}, "
        f"or more samples than task.n={task.n}; pass_rates.jsonl has the mean of every row."
    )
