"""task=generate: complete a dataset's prompts, score what comes back, keep it as a dataset and as rows for SFT.

Completions stand in a store as soon as they are there; a run that was killed goes on where it was, and asking for more
makes only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.data import loading as data
from r1lab.engines.base import Completion, Sampling
from r1lab.engines.store import Lookup, Store, key_of
from r1lab.engines.stored import completions_of
from r1lab.errors import ConfigError, EngineError, Finding
from r1lab.generation.card import card
from r1lab.generation.meter import Meter
from r1lab.generation.output import Output, record_of
from r1lab.generation.own import Drawn
from r1lab.generation.prompts import Prompts
from r1lab.generation.scoring import scored
from r1lab.generation.selection import Keep, kept
from r1lab.generation.tally import Tally
from r1lab.rewards.base import Reward, build_all
from r1lab.runs import manifest
from r1lab.runs.completions import completion_line
from r1lab.runs.folder import RunFolder
from r1lab.tasks.quiet import named, quiet
from r1lab.terminal import lengthy
from r1lab.wording import plural

SCORES, RECORD = "scores", "generation.json"
AT_ONCE = 64  # problems that are scored together
SHOWN = 40  # completions on the run's page


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Generate `task.n` completions for each row.

    Leaves `dataset/` (`generation.output`), `generation.json` for the page, and the store unless it stands elsewhere.

    Returns:
        `generate/<reward>` means, counts of completions, failures, kept ones and tokens, and tokens a second.

    Raises:
        UserError: a column is missing, a row has no prompt, a template names what is no column.
        EngineError: the engine fails as a whole, or nothing at all could be made.
        StorageError: the disk is full.
    """
    quiet()
    prompts = prompts_of(cfg)
    rewards = build_all(cfg)
    data.require_columns(prompts.rows, rewards, cfg.dataset.name)
    refuse_tokens(rewards)
    manifest.add(folder, dataset={"rows": len(prompts), "fingerprint": data.fingerprint(prompts.rows)})
    sampling = sampling_of(cfg)
    began = datetime.fromisoformat(folder.read_json("manifest.json")["started"]).timestamp()
    at = time.monotonic()
    where = Path(cfg.task.store) if cfg.task.store else folder.store
    with Store(where) as store:
        with Meter(folder, began) as meter:
            arguments = (store, prompts, sampling, meter.progress, meter.completion)
            drawn: Drawn = named(cfg.generator._target_)(cfg, folder.path, *arguments)
        generating = time.monotonic() - at
        tally = Tally(sampling.max_tokens)
        with (
            store.lookup() as lookup,
            lengthy(f"judging and writing what was made of {plural(len(prompts), 'prompt')}"),
        ):
            shown = write(cfg, folder, prompts, rewards, sampling, drawn, lookup, tally)
    folder.rewrite("completions/eval.jsonl", shown)
    folder.write_json(RECORD, {**tally.record(), **meter.overall})
    seconds = round(time.time() - began, 2)
    folder.append("metrics.jsonl", [{"step": meter.done, "time": seconds, **tally.metrics()}])
    if not tally.completions:
        cause = next(iter(tally.causes), "the engine gave none")
        raise EngineError(f"no completion could be made: {cause}")
    return {
        **tally.metrics(),
        "rows": tally.completions,
        "problems": len(prompts),
        "failures": len(drawn.failures),
        "kept": tally.kept,
        "tokens": tally.tokens,
        **meter.overall,
        "generate_seconds": round(generating, 2),
        "seconds": round(time.monotonic() - at, 2),
        "notes": notes(cfg, tally, len(drawn.failures), folder),
    }


def prompts_of(cfg: DictConfig) -> Prompts:
    """The conversations of a run: the dataset's rows, with the task's column, template and system prompt."""
    rows = data.load(cfg.dataset, "generate").train
    if cfg.task.problems is not None:
        rows = rows.select(range(min(cfg.task.problems, len(rows))))
    return Prompts(rows, cfg.task.template, cfg.task.system_prompt)


def refuse_tokens(rewards: Sequence[Reward]) -> None:
    """Refuse rewards of tokens: what is kept of a completion is its text, which a server may not tell the tokens of.

    Raises:
        ConfigError: naming them.
    """
    if of_tokens := [reward.__name__ for reward in rewards if "completion_ids" in reward.takes]:
        what = f"reward {', '.join(of_tokens)} reads tokens; task=generate keeps texts"
        raise ConfigError(
            [Finding(what, "reward", fix="leave it out; the column tokens has every completion's length")]
        )


def refuse_uncounted(completions: Iterable[Completion], store: str | Path) -> None:
    """Refuse to choose by length where a server does not tell it.

    Args:
        completions: to choose from.
        store: where they are kept, for the message.

    Raises:
        EngineError: a completion has a text and no tokens.
    """
    if any(item.text and not item.tokens for item in completions):
        what = "the server does not say how many tokens a completion has (usage.completion_tokens)"
        raise EngineError(f"{what}\n    fix      task.keep.order=first task.store={store}, which makes none again")


def sampling_of(cfg: DictConfig) -> Sampling:
    """How a task's words say to sample."""
    task = cfg.task
    return Sampling(
        n=task.n,
        temperature=task.temperature,
        top_p=task.top_p,
        top_k=task.top_k or 0,
        min_p=task.min_p or 0.0,
        max_tokens=task.max_tokens,
        seed=task.seed,
    )


def write(
    cfg: DictConfig,
    folder: RunFolder,
    prompts: Prompts,
    rewards: Sequence[Reward],
    sampling: Sampling,
    drawn: Drawn,
    lookup: Lookup,
    tally: Tally,
) -> list[dict[str, Any]]:
    """Score and write the dataset, a few problems at a time; the first completions, as the page shows them."""
    settings = OmegaConf.to_container(cfg.reward, resolve=True) if cfg.reward else {}
    keep = Keep(**OmegaConf.to_container(cfg.task.keep))  # type: ignore[arg-type]
    names = [reward.__name__ for reward in rewards]
    shown: list[dict[str, Any]] = []
    content = key_of(keys=drawn.keys, n=sampling.n, failures=len(drawn.failures), rewards=settings, keep=asdict(keep))
    with Output(folder.path, prompts.rows.features, names, content[:8]) as output:
        for places in in_chunks(len(prompts), AT_ONCE):
            every = [completions_of(lookup, drawn.keys[i], sampling.n, drawn.failures) for i in places]
            made = [[(j, item) for j, item in enumerate(row) if not item.error] for row in every]
            for item in (item for row in every for item in row if item.error):
                tally.failure(item)
            rows = prompts.rows.select(places)
            if keep.order == "shortest":
                refuse_uncounted((item for row in made for _, item in row), cfg.task.store or folder.store)
            sampled = scored(folder.path / SCORES, rows, [[item for _, item in row] for row in made], rewards, settings)
            chosen = [
                kept(keep, completions, sampled.scores[keep.reward][i] if keep.reward else [])
                for i, completions in enumerate(sampled.completions)
            ]
            tally.add(sampled, chosen)
            records: list[dict[str, Any]] = []
            picked: list[int] = []
            for i, place in enumerate(places):
                picked += [len(records) + j for j in chosen[i]]
                for j, (sample, item) in enumerate(made[i]):
                    marks = {name: sampled.scores[name][i][j] for name in names}
                    records.append(record_of(rows[i], place, sample, prompts[place], item, marks))
            output.write(records, picked)
            shown += [shown_of(record) for record in records[: SHOWN - len(shown)]]
        output.finish(card(cfg, tally, sampling))
    return shown


def in_chunks(count: int, size: int) -> Iterator[range]:
    """The places 0 … count − 1, some at a time."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def shown_of(record: dict[str, Any]) -> dict[str, Any]:
    """A completion as the run's page reads it."""
    asked, answer = record["messages"][-2]["content"], record["messages"][-1]["content"]
    same: dict[str, Any] = {name: record.get(name) for name in ("sample", "solution", "rewards", "tokens", "finish")}
    return completion_line(problem=record["row"], prompt=asked, completion=answer, **same)


def notes(cfg: DictConfig, tally: Tally, failures: int, folder: RunFolder) -> list[str]:
    """What came out, in plain sentences."""
    said = [f"{tally.completions:,} completions of {tally.problems:,} problems, {tally.tokens:,} tokens."]
    if tally.completions and not tally.tokens:
        said.append("The server does not say how many tokens they have: lengths and tokens a second are not known.")
    keep = cfg.task.keep
    by = f" that reach {keep.reward} ≥ {keep.least:g}" if keep.reward else ""
    unchecked = "" if keep.reward else f"; none was checked: {_checks(cfg)}"
    said.append(f"{tally.kept:,} completions{by} of {tally.kept_problems:,} problems are kept for SFT{unchecked}.")
    if failures:
        cause = next(iter(tally.causes), "")
        said.append(f"{failures:,} could not be made, most often: {cause} Resume the run to try them again.")
    words = "dataset.messages=messages dataset.prompt=prompt dataset.answer=solution"
    said.append(f"task=sft dataset=local dataset.path={folder.path / 'dataset/sft'} {words} trains on them.")
    return said


def _checks(cfg: DictConfig) -> str:
    """What keeps the right completions alone, for a run that checks none."""
    names = list(map(str, cfg.reward or {}))
    name = "accuracy" if "accuracy" in names else names[0] if names else "accuracy reward=[accuracy]"
    return f"task.keep.reward={name} keeps right ones"
