"""evaluator=lighteval: lighteval's prompts and metrics on completions of the run's engine, as r1lab's own records.

lighteval runs in a process and an environment of its own. It is handed the benchmark's rows, tells what to ask, gets
the completions and tells a verdict for each. Its client is not used: it turns a request that failed into an empty
answer, keeps a cache by the model's name in the working directory and forgets why a completion ended. So completions
are sampled as native's are: seeded one by one, kept in the run's store, and made once however often a run resumes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.config.evaluating import interpreter, trouble, version_in
from r1lab.engines.base import Completion, Sampling
from r1lab.engines.store import Store
from r1lab.errors import UserError
from r1lab.evaluation.fingerprint import conditions
from r1lab.evaluation.questions import LETTERS, Question, Questions, questions_of, rows_of
from r1lab.evaluation.records import Problem, Record
from r1lab.evaluators.lighteval_process import Lighteval
from r1lab.evaluators.native import drawn, sampling_of
from r1lab.evaluators.samples import sample_of
from r1lab.generation.engines import Ready, ready
from r1lab.hardware import cores
from r1lab.runs.folder import RunFolder

FOLDER = "lighteval"  # in the run's: its log, results and details
OWN = "r1lab_"  # begins the names of columns that its process reads beside the benchmark's
PACKAGES = ("lighteval", "latex2sympy2_extended", "sympy")  # of its environment, that judge
Row = Mapping[str, Any]


def evaluate(cfg: DictConfig, folder: Path) -> Iterator[Record]:
    """The record of every benchmark of the run, in their order, each as soon as it is whole.

    Args:
        cfg: the resolved config of a run.
        folder: the run's.

    Raises:
        UserError: lighteval's environment is not there, or a benchmark or the model cannot be loaded.
        RunError: its process ended before its work was done; its log says why.
        EngineError: the engine fails, or a completion could not be made; what was made is kept.
    """
    if lacking := trouble(cfg.evaluator):
        raise UserError(f"evaluator=lighteval: {lacking}")
    python = interpreter(cfg.evaluator.python)
    assert python is not None
    place = folder / FOLDER
    loaded = [questions_of(str(name), item) for name, item in cfg.benchmark.items()]
    tasks = [task_of(cfg, questions, place) for questions in loaded]
    work = {"tasks": tasks, "processes": cores(), "model": cfg.model.name}
    where = Path(cfg.task.store) if cfg.task.get("store") else RunFolder(folder).store
    programs = any(item.form == "program" for item in cfg.benchmark.values())
    with Lighteval(python, place, work, programs) as process, ready(cfg, folder) as made, Store(where) as store:
        for questions in loaded:
            yield record_of(cfg, folder, questions, made, store, process, python)


def record_of(
    cfg: DictConfig, folder: Path, loaded: Questions, made: Ready, store: Store, process: Lighteval, python: Path
) -> Record:
    """Let lighteval ask and judge one benchmark."""
    name, place = loaded.name, folder / FOLDER
    asked = asked_by(cfg, loaded, process.hear("asked", name)["rows"])
    form, sampling = cfg.benchmark[name].form, sampling_of(cfg.benchmark[name], cfg.seed)
    print(f"{name}: {len(asked.asked)} prompts of lighteval", flush=True)
    completions = drawn(folder, asked, sampling, made, store, [sampling.n] * len(asked.asked))
    file = place / f"{name}.completions.json"
    texts = {str(row): [item.text for item in drawn if not item.error] for row, drawn in enumerate(completions)}
    file.write_text(json.dumps(texts), encoding="utf-8")
    process.tell({"completions": str(file)})
    verdicts = {row["row"]: row for row in process.hear("scored", name)["rows"]}
    file.unlink()
    shutil.rmtree(place / "rows" / name)
    problems = tuple(
        problem_of(form, question, row, verdicts[number], sampling)
        for number, (question, row) in enumerate(zip(asked.asked, completions, strict=True))
    )
    about = made_by(cfg, loaded, asked, sampling, made, python)
    return Record(name, sampling.n, problems, about, made.context, tuple(loaded.missing))


def task_of(cfg: DictConfig, loaded: Questions, place: Path) -> dict[str, Any]:
    """A benchmark as lighteval's process is told of it; its rows are written for it to read."""
    benchmark = cfg.benchmark[loaded.name]
    rows = place / "rows" / loaded.name
    rows.mkdir(parents=True, exist_ok=True)
    table = rows_of(loaded.name, benchmark).select([item.row for item in loaded.asked])
    if not stock(cfg):
        table = table.add_column(OWN + "prompt", [item.prompt[-1]["content"] for item in loaded.asked])
        table = table.add_column(OWN + "gold", [item.gold or "" for item in loaded.asked])
        table = table.add_column(OWN + "letters", [LETTERS] * len(table))
    table.to_parquet(str(rows / "test.parquet"))
    return {
        "name": loaded.name,
        "task": benchmark.lighteval if stock(cfg) else None,
        "form": benchmark.form,
        "rows": str(rows.absolute()),
        "system_prompt": benchmark.system_prompt,
        "out": str(place.absolute()),
    }


def stock(cfg: DictConfig) -> bool:
    """Whether lighteval's own tasks ask, with their prompts."""
    return bool(cfg.evaluator.prompts == "lighteval")


def asked_by(cfg: DictConfig, loaded: Questions, rows: Sequence[Row]) -> Questions:
    """The questions as lighteval asks them. Its gold answer counts where its prompt does: it letters choices itself."""
    asked = []
    for row in sorted(rows, key=lambda row: int(row["row"])):
        question = loaded.asked[row["row"]]
        gold = row["gold"] if stock(cfg) else question.gold
        asked.append(replace(question, prompt=row["prompt"], gold=gold))
    return Questions(loaded.name, asked, loaded.missing)


def problem_of(form: str, question: Question, drawn: Sequence[Completion], verdict: Row, sampling: Sampling) -> Problem:
    """A problem with its samples: those that could not be made have a reason, the others what lighteval says."""
    judged = iter(zip(verdict["scores"], verdict["answers"], strict=True))
    samples = []
    for index, item in enumerate(drawn):
        score, answer = (None, None) if item.error else next(judged)
        sample = sample_of(form, question, item, (score, item.error), sampling, index)
        samples.append(replace(sample, answer=answer))
    return Problem(question.id, question.prompt[-1]["content"], question.gold, tuple(samples))


def made_by(
    cfg: DictConfig, loaded: Questions, asked: Questions, sampling: Sampling, made: Ready, python: Path
) -> dict[str, Any]:
    """What bears on the numbers; see `Record`. The data is as it was loaded: lighteval letters choices in its order."""
    benchmark = cfg.benchmark[asked.name]
    common = conditions(cfg, made.identity, sampling, asked.wording, loaded.data, benchmark.scorer)
    judges = {package: version_in(python, package) for package in PACKAGES}
    return {
        **common,
        "evaluator": "lighteval",
        "versions": {**common["versions"], **judges},
        "own_prompt": not stock(cfg) or benchmark.system_prompt is not None,
        "own_data": bool(benchmark.path) or Path(str(benchmark.repo)).is_dir(),
        "scorer": {"lighteval": benchmark.lighteval if stock(cfg) else benchmark.form},
    }
