"""r1lab's own evaluator: samples on the run's engine, kept in the store, judged by each benchmark's scorer.

Every benchmark is loaded before a model is. A completion is kept as soon as it is there, a few problems' scores as soon
as they are judged; a killed evaluation goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.engines.base import Completion, Sampling
from r1lab.engines.store import Store
from r1lab.engines.stored import Failures, completions_of, fill, keys_of
from r1lab.errors import EngineError
from r1lab.evaluation.fingerprint import conditions, versions
from r1lab.evaluation.judging import Judged, judged
from r1lab.evaluation.questions import Question, Questions, questions_of
from r1lab.evaluation.records import Problem, Record
from r1lab.evaluators.ahead import Ahead
from r1lab.evaluators.contest import contest_record
from r1lab.evaluators.samples import sample_of
from r1lab.generation.engines import Ready, ready
from r1lab.generation.meter import Meter
from r1lab.rewards.base import build
from r1lab.runs.folder import RunFolder
from r1lab.terminal import lengthy

AT_ONCE = 16  # problems that are judged together
SCORES = "scores"


def evaluate(cfg: DictConfig, folder: Path) -> Iterator[Record]:
    """The record of every benchmark of the run, in their order, each as soon as it is whole.

    Args:
        cfg: the resolved config of a run.
        folder: the run's.

    Raises:
        UserError: a benchmark or the model cannot be loaded.
        EngineError: the engine fails, or a completion could not be made; what was made is kept.
        RewardError: a scorer's machinery fails.
    """
    loaded = [questions_of(str(name), item) for name, item in cfg.benchmark.items()]
    where = Path(cfg.task.store) if cfg.task.store else RunFolder(folder).store
    with ready(cfg, folder) as made, Store(where) as store:
        for questions in loaded:
            yield record_of(cfg, folder, questions, made, store)


def record_of(cfg: DictConfig, folder: Path, questions: Questions, made: Ready, store: Store) -> Record:
    """Sample and judge one benchmark."""
    benchmark = cfg.benchmark[questions.name]
    form, sampling = str(benchmark.form), sampling_of(benchmark, cfg.seed)
    print(f"{questions.name}: {len(questions.asked)} prompts", flush=True)
    settings: Any = OmegaConf.to_container(benchmark.scorer, resolve=True)
    reward, scores = build(questions.name, benchmark.scorer), folder / SCORES
    by = {"scorer": settings, "versions": versions()}  # a newer scorer judges anew

    def problems_at(start: int, rows: Sequence[Sequence[Completion]]) -> list[Problem]:
        some = questions.asked[start : start + AT_ONCE]
        marks = judged(scores, reward, by, some, [[c.text for c in row if not c.error] for row in rows])
        return [problem_of(form, *item, sampling) for item in zip(some, rows, marks, strict=True)]

    if form == "contest":
        per = submissions(questions.asked, sampling.n)
        completions = drawn(folder, questions, sampling, made, store, per)
        with lengthy(f"judging the submissions of {questions.name}"):
            problems = contest_record(scores, reward, by, questions.asked, completions, sampling)
    else:
        keys = keys_of([item.prompt for item in questions.asked], sampling, made.identity)
        with Ahead(store, keys, sampling.n, AT_ONCE, problems_at) as ahead:
            failures = draw(folder, questions, sampling, made, store, [sampling.n] * len(keys), ahead.made)
        problems = []
        with store.lookup() as lookup, lengthy(f"judging the completions of {questions.name}"):
            for start in range(0, len(keys), AT_ONCE):
                there = ahead.found(start)
                if there is None or not whole(there):
                    rows = [completions_of(lookup, key, sampling.n, failures) for key in keys[start : start + AT_ONCE]]
                    there = problems_at(start, rows)
                problems += there
    made_by = conditions(cfg, made.identity, sampling, questions.wording, questions.data, benchmark.scorer)
    return Record(questions.name, sampling.n, tuple(problems), made_by, made.context, tuple(questions.missing))


def problem_of(
    form: str, question: Question, row: Sequence[Completion], marks: Sequence[Judged], sampling: Sampling
) -> Problem:
    """A problem with its samples; the marks are of those that could be made."""
    rest = iter(marks)
    samples = [
        sample_of(form, question, item, (None, item.error) if item.error else next(rest), sampling, index)
        for index, item in enumerate(row)
    ]
    return Problem(question.id, question.prompt[-1]["content"], question.gold, tuple(samples))


def whole(problems: Sequence[Problem]) -> bool:
    """Whether every sample has its score; where a scorer's machinery failed, another try may go better."""
    return all(sample.score is not None for problem in problems for sample in problem.samples)


def sampling_of(benchmark: DictConfig, seed: int) -> Sampling:
    """How a benchmark's words say to sample."""
    return Sampling(
        n=benchmark.samples,
        temperature=benchmark.temperature,
        top_p=benchmark.top_p,
        max_tokens=benchmark.max_tokens,
        seed=seed,
    )


def submissions(asked: Sequence[Question], budget: int) -> list[int]:
    """How many submissions each subtask's prompt gets of its problem's budget: as even as can be, the last more."""
    per: list[int] = [0] * len(asked)
    for problem in dict.fromkeys(item.id for item in asked):
        places = [i for i, item in enumerate(asked) if item.id == problem]
        for number in range(budget):
            per[places[-1 - number % len(places)]] += 1
    return per


def drawn(
    folder: Path, questions: Questions, sampling: Sampling, made: Ready, store: Store, per: Sequence[int]
) -> list[list[Completion]]:
    """So many completions of each prompt, from the store or made now.

    Raises:
        EngineError: see `draw`.
    """
    failures = draw(folder, questions, sampling, made, store, per)
    keys = keys_of([item.prompt for item in questions.asked], sampling, made.identity)
    with store.lookup() as lookup:
        return [completions_of(lookup, key, count, failures) for key, count in zip(keys, per, strict=True)]


def draw(
    folder: Path,
    questions: Questions,
    sampling: Sampling,
    made: Ready,
    store: Store,
    per: Sequence[int],
    on_made: Callable[[], None] | None = None,
) -> Failures:
    """Make what the store lacks of so many completions of each prompt; `on_made` is called after each.

    Returns:
        The prompts that leave no room for a completion, and refusals.

    Raises:
        EngineError: some could not be made, though another try may; or no prompt leaves room for its completion.
    """
    prompts = [item.prompt for item in questions.asked]
    began = RunFolder(folder).read_json("manifest.json").get("started")
    since = datetime.fromisoformat(began).timestamp() if began else time.time()
    failures: Failures = {}
    for count in sorted({*per} - {0}):
        places = [i for i, n in enumerate(per) if n == count]
        with Meter(RunFolder(folder), since) as meter:
            some = [prompts[i] for i in places]
            how = replace(sampling, n=count)

            def told(item: Completion, meter: Meter = meter) -> None:
                meter.completion(item)
                if on_made:
                    on_made()

            failures |= fill(made.engine, store, some, how, made.identity, meter.progress, told)
    broken = [item for item in failures.values() if item.finish == "error"]
    if broken:
        what = f"{len(broken)} of {sum(per)} completions of {questions.name} could not be made: {broken[0].error}"
        raise EngineError(f"{what}\n    fix      mend the cause and go on with resume=FOLDER; what was made is kept")
    if len(failures) == sum(per):
        first = next(iter(failures.values()))
        raise EngineError(f"no completion of {questions.name} could be made: {first.error}")
    return failures
