"""The problems of a benchmark as a model is asked them, from the Hub, local files or a dataset that r1lab ships."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from datasets import Dataset
from jinja2 import StrictUndefined
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from omegaconf import DictConfig, OmegaConf

from r1lab.config.prompt_templates import PROMPT, check_names, names_of, read_wording
from r1lab.config.schema import Dataset as DatasetWords
from r1lab.data import hub, loading, local
from r1lab.data.turns import with_system
from r1lab.engines.base import Conversation
from r1lab.errors import DataError, Finding
from r1lab.rows.mixture import settings_of
from r1lab.rows.roles import TEXTS, Roles
from r1lab.terminal import lengthy
from r1lab.wording import some

LETTERS = "ABCD"
ADDED = ("choices",)  # by a form
MAY = ("starter_code",)  # be empty: only some problems have one
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")  # columns of GPQA
ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True)
Row = dict[str, Any]


class Unfit(Exception):
    """A row of which no question can be made; its text says why."""


@dataclass(frozen=True)
class Question:
    """One row, ready to be asked.

    Attributes:
        id: what names the problem; rows of a contest's subtasks share it.
        prompt: the conversation.
        gold: the gold answer, where it is text.
        columns: what the scorer reads, the form's additions and `solution` among them.
        part, points: of a contest: the subtask, and what it is worth.
        row: its place among the benchmark's rows.
        decided_by: what its completions are judged by: the gold answer, else a digest of what holds the tests.
    """

    id: str
    prompt: Conversation
    gold: str | None
    columns: Row
    part: str = ""
    points: float = 0.0
    row: int = 0
    decided_by: str = ""


@dataclass(frozen=True)
class Questions:
    """The problems of one benchmark, in their order, and those that could not be asked, each with the reason."""

    name: str
    asked: list[Question]
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def data(self) -> str:
        """A digest of ids and gold answers: equal problems, equal digest, in whatever order and from wherever.

        Where there is no gold answer, the columns that hold the tests of a program count, else all of them.
        """
        return digest(sorted(f"{item.id}\0{item.part}\0{item.decided_by}" for item in self.asked))

    @property
    def wording(self) -> str:
        """A digest of the prompts, by problem."""
        return digest(sorted(f"{item.id}\0{item.part}\0{item.prompt!r}" for item in self.asked))


def digest(parts: list[str]) -> str:
    """16 hexadecimal digits of texts in their order."""
    joined = "\1".join(parts).encode("utf-8", "backslashreplace")
    return hashlib.sha256(joined).hexdigest()[:16]


def questions_of(name: str, benchmark: DictConfig) -> Questions:
    """Load a benchmark.

    Args:
        name: its key in the config.
        benchmark: its settings, resolved (`schema.Benchmark`).

    Raises:
        DataError: it cannot be loaded, lacks a column, names two problems alike, or none of its rows can be asked.
        ConfigError: its prompt is no template, or names what is no column.
    """
    rows = rows_of(name, benchmark)
    if benchmark.problems is not None:
        rows = rows.select(range(min(benchmark.problems, len(rows))))
    form, needed = FORMS[benchmark.form]
    named = [column for column in (benchmark.id, benchmark.answer) if column]
    if lacking := [column for column in [*named, *needed] if column not in rows.column_names]:
        what = f"benchmark.{name}: its rows have no column {lacking[0]!r}"
        raise DataError(Finding(what, fix=f"its columns: {some(rows.column_names)}").text())
    key = f"benchmark.{name}.prompt"
    text, place = read_wording(benchmark.prompt, key, key)
    check_names(text, place, [*rows.column_names, *ADDED], key)
    template, filled = ENVIRONMENT.from_string(text), names_of(text, place, key)
    asked: list[Question] = []
    missing: list[tuple[str, str]] = []
    for number, row in enumerate(rows):
        own = "" if not benchmark.id or row[benchmark.id] is None else str(row[benchmark.id]).strip()
        try:
            made = form(own, dict(row), benchmark)
            values = {**made.columns, PROMPT: loading.last_user_text(row.get(PROMPT) or "")}
            if empty := next((c for c in sorted(filled) if values.get(c) in (None, "") and c not in MAY), None):
                raise Unfit(f"column {empty} is empty")
            words = template.render(**values).strip()
        except Unfit as unfit:
            missing.append((own or f"row {number + 1}", str(unfit)))
            continue
        except TemplateError as error:
            raise DataError(f"benchmark.{name}, row {number + 1}: the prompt cannot be filled in: {error}") from error
        turns = with_system([{"role": "user", "content": words}], benchmark.system_prompt)
        called = own or digest([words])
        decides = made.gold if made.gold is not None else of_columns(made.columns, needed)
        asked.append(Question(called, turns, made.gold, made.columns, made.part, made.points, number, decides))
    if not asked:
        first = missing[0][1] if missing else "there are no rows"
        raise DataError(f"benchmark.{name}: nothing of it can be asked: {first}")
    refuse_twins(name, asked, benchmark.id)
    return Questions(name, asked, missing)


def of_columns(row: Row, names: Sequence[str]) -> str:
    """A digest of some columns of a row, or of all."""
    return digest([f"{name}\0{row[name]}" for name in names or sorted(row)])


def refuse_twins(name: str, asked: list[Question], column: str | None) -> None:
    """Refuse two problems of one name: results could not be paired, and one of them would count twice.

    Raises:
        DataError: naming the first.
    """
    seen: set[tuple[str, str]] = set()
    for item in asked:
        if (item.id, item.part) in seen:
            what = f"benchmark.{name}: two of its problems are {item.id!r}" if column else "two problems are the same"
            fix = f"remove the copy, or benchmark.{name}.id=COLUMN with a name of each (null: by its prompt)"
            raise DataError(Finding(f"{what} {item.part}".strip(), fix=fix).text())
        seen.add((item.id, item.part))


def rows_of(name: str, benchmark: DictConfig) -> Dataset:
    """The rows of a benchmark from where it says: the same for every run, whatever its seed.

    Raises:
        DataError: they cannot be read.
    """
    if where := benchmark.path or benchmark.repo:
        with lengthy(f"reading benchmark {name} from {where}"):
            if benchmark.path:
                return local.read(where, Roles(use=TEXTS), benchmark.split, f"benchmark.{name}.path")
            files, key = list(benchmark.files) if benchmark.files else None, f"benchmark.{name}.repo"
            return hub.read(where, benchmark.config, benchmark.split, benchmark.revision, key, files)
    settings = {**asdict(DatasetWords()), **settings_of(benchmark.dataset)}
    return loading.load(OmegaConf.create(settings), "eval").test


@dataclass(frozen=True)
class Made:
    """What a form makes of a row."""

    gold: str | None
    columns: Row
    part: str = ""
    points: float = 0.0


def as_text(own: str, row: Row, benchmark: DictConfig) -> Made:
    """The row as it is; its gold answer as `solution`."""
    if not benchmark.answer:
        return Made(None, row)
    gold = row[benchmark.answer]
    if gold is None or not str(gold).strip():
        raise Unfit("it has no gold answer")
    return Made(str(gold), {**row, "solution": str(gold)})


def as_choices(own: str, row: Row, benchmark: DictConfig) -> Made:
    """`choices`: the right and the wrong answers in an order drawn for this problem, each behind its letter.

    The order depends on `order_seed` and the problem's name alone: every run, model and evaluator gets the same.
    """
    texts = [str(row[column] or "").strip() for column in (benchmark.answer, *WRONG)]
    if not all(texts):
        raise Unfit("one of its choices is empty")
    if texts[0] in texts[1:]:
        raise Unfit("one of its wrong choices is the right one")
    order = list(range(len(texts)))
    random.Random(f"{benchmark.order_seed}:{own or texts}").shuffle(order)
    listed = "\n".join(f"{letter}) {texts[place]}" for letter, place in zip(LETTERS, order, strict=True))
    gold = LETTERS[order.index(0)]
    return Made(gold, {**row, "choices": listed, "solution": gold})


PROGRAM = ("public_test_cases", "private_test_cases", "metadata", "starter_code")


def as_program(own: str, row: Row, benchmark: DictConfig) -> Made:
    """A row of LiveCodeBench; its tests are read by the scorer, since they are large."""
    return Made(None, {**row, "starter_code": row["starter_code"] or ""})


CONTEST = ("subtask", "score", "test_names", "grader_files", "time_limit", "memory_limit")


def as_contest(own: str, row: Row, benchmark: DictConfig) -> Made:
    """A subtask of an IOI problem."""
    if not own or not row["subtask"]:
        raise Unfit("it names no problem or no subtask")
    points = float(row["score"] or 0)
    if points <= 0:
        raise Unfit("it is worth no points")
    return Made(None, row, str(row["subtask"]), points)


FORMS: dict[str, tuple[Callable[[str, Row, DictConfig], Made], tuple[str, ...]]] = {  # with the columns that each needs
    "text": (as_text, ()),
    "choices": (as_choices, WRONG),
    "program": (as_program, PROGRAM),
    "contest": (as_contest, CONTEST),
}
