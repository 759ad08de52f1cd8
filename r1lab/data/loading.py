"""From the config's dataset to rows that a trainer takes: conversations, with the gold answer in `solution`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from datasets import Dataset
from omegaconf import DictConfig, OmegaConf

from r1lab.config.source import parameters
from r1lab.data.splits import Splits
from r1lab.data.telling import tell
from r1lab.data.turns import before_the_answer, up_to_the_answer, with_system
from r1lab.errors import DataError
from r1lab.rows.roles import CONVERSATIONS, PROMPTS, Roles, messages_fault, prompt_fault, roles_of, row_fault
from r1lab.terminal import lengthy
from r1lab.wording import plural, some

TAKEN = {  # what rewards get beside the dataset's columns
    "completions",
    "completion_ids",
    "prompts",
    "trainer_state",
    "log_extra",
    "log_metric",
    "environments",
}

WHOLE = {"test": 0, "test_path": None, "test_split": None}  # what a loader's words must be for it to hold nothing out


def load(cfg: DictConfig, task: str = "") -> Splits:
    """Call the dataset's loader with its own parameters and name its columns as rewards and trainers know them.

    Args:
        cfg: the `dataset` node of a run.
        task: "sft" holds the rows to what is trained on (`Roles`), "eval" needs no rows to train on, "generate" takes
            every row and holds none out; for every other one the rows need a prompt.

    Returns:
        Splits whose rows have `prompt` (a conversation) where there is one, `solution` (text) where the config names
        an answer, and every other column as it was; for "sft" also `messages`, `completion` or `text`.

    Raises:
        DataError: a column that the config names is not there, a row is not fit for its use, or there is none.
    """
    target, roles = str(cfg._target_), roles_of(cfg, task)
    known = parameters(target) or {}
    container: Any = OmegaConf.to_container(cfg, resolve=True)
    values = {key: value for key, value in container.items() if key in known}
    if "use" in known:
        values["use"] = roles.use
    if task == "generate":
        values |= {name: nothing for name, nothing in WHOLE.items() if name in known}
    module, _, name = target.rpartition(".")
    with lengthy(f"reading {named_with_place(cfg)}"):
        splits: Splits = getattr(import_module(module), name)(**values)
    for rows in (splits.train, splits.test):
        check_columns(rows, roles, cfg.name)
    if len(splits.train) == 0 and task != "eval":
        raise DataError(f"dataset {cfg.name} has no row to train on")
    if taken := TAKEN & set(splits.train.column_names):
        raise DataError(f"dataset {cfg.name} has a column {taken.pop()!r}, a name that rewards are given: rename it")
    if roles.use == PROMPTS:
        _some_answer(splits.train, roles, cfg.name)
    tell([*(splits.said if task != "generate" else []), *_about_turns(splits.train, roles, cfg)])
    with lengthy(f"checking {plural(len(splits.train) + len(splits.test), 'row')} of dataset {cfg.name}"):
        train, test = canonical(splits.train, roles, cfg), canonical(splits.test, roles, cfg)
    if len(test) and "prompt" not in test.column_names:
        tell(["the rows have no prompt: nothing is evaluated on the way"])
        test = test.select([])
    return Splits(train, test, splits.said)


def named_with_place(cfg: DictConfig) -> str:
    """A dataset's name, and where it comes from, if not from this program."""
    where = cfg.get("repo") or cfg.get("path")
    return f"dataset {cfg.name} from {where}" if where else f"dataset {cfg.name}"


def check_columns(rows: Dataset, roles: Roles, name: str) -> None:
    """Refuse rows that lack the columns without which they are of no use."""
    for role in roles.needed(rows.column_names) if len(rows) else []:
        column = getattr(roles, role)
        if column not in rows.column_names:
            raise DataError(
                f"dataset.{role}={column}: dataset {name} has no such column\n"
                f"    fix      its columns: {', '.join(rows.column_names)}"
            )


class Reader(Protocol):
    """A reward: its name, and the columns that it reads."""

    __name__: str
    needs: list[str]


def require(splits: Splits, rewards: Sequence[Reader], name: str) -> None:
    """Refuse rows that lack a column which a reward reads, before a model is loaded for them.

    Args:
        splits: as `load` returns them.
        rewards: what reads the columns.
        name: the dataset's.

    Raises:
        DataError: naming the reward and the columns that there are.
    """
    require_columns(splits.train if splits.train.column_names else splits.test, rewards, name)


def require_columns(rows: Dataset, rewards: Sequence[Reader], name: str) -> None:
    """`require`, of rows."""
    columns = rows.column_names
    for reward in rewards:
        missing = [column for column in reward.needs if column not in {*columns, *TAKEN}]
        if missing:
            what = f"reward {reward.__name__} reads column {missing[0]!r}, which dataset {name} lacks"
            if missing[0] == "solution":
                what = f"reward {reward.__name__} compares with the answer, and dataset {name} has none"
            raise DataError(f"{what}\n    fix      its columns: {some(columns)}")


def _some_answer(rows: Dataset, roles: Roles, name: str) -> None:
    if roles.answer in rows.column_names and all(value is None for value in rows[roles.answer]):
        raise DataError(f"dataset {name} has no answer: column {roles.answer} is empty in every row")


def _about_turns(rows: Dataset, roles: Roles, cfg: DictConfig) -> list[str]:
    """What happens to turns of the rows that are not what they could be: counted, since it is seen nowhere else."""
    trained = roles.messages if roles.use == CONVERSATIONS else None
    column = trained if trained in rows.column_names else roles.prompt
    if column not in rows.column_names or not len(rows) or not (trained or cfg.system_prompt):
        return []
    systems = ends = 0
    for turns in rows[column]:
        if isinstance(turns, list) and turns:
            systems += turns[0].get("role") == "system"
            ends += column == trained and turns[-1].get("role") != "assistant"
    said = []
    if systems and cfg.system_prompt:
        how = "replaced by dataset.system_prompt" if cfg.own_system == "replace" else "kept (dataset.own_system=keep)"
        said.append(f"{plural(systems, 'row')} with a system prompt of their own: {how}")
    if ends:
        said.append(f"{plural(ends, 'conversation')} cut after the last assistant's turn, which is not the last one")
    return said


def canonical(rows: Dataset, roles: Roles, cfg: DictConfig) -> Dataset:
    """Rows with `prompt` as a conversation and the answer as `solution`; a column in their way is replaced.

    Raises:
        DataError: a row that is not fit for its use, by its number from 1.
    """
    system, replace, name = cfg.system_prompt, cfg.own_system == "replace", str(cfg.name)

    def name_columns(row: dict[str, Any], number: int) -> dict[str, Any]:
        if fault := row_fault(row, roles):
            raise DataError(f"dataset {name}, row {number + 1}, {fault}: {str(row)[:200]}")
        named: dict[str, Any] = {}
        turns = row.get(roles.messages or "")
        prompt = row.get(roles.prompt or "")
        if prompt and not prompt_fault(row, roles):
            asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            named["prompt"] = with_system(asked, system, replace)
        elif turns and not messages_fault(turns, ""):
            named["prompt"] = with_system(before_the_answer(turns), system, replace)
        if roles.answer in row:
            answer = row[roles.answer]
            named["solution"] = None if answer is None else str(answer)
        if roles.use == CONVERSATIONS and roles.messages in row:
            named["messages"] = with_system(up_to_the_answer(turns), system, replace) if turns else None
        if roles.use == CONVERSATIONS and roles.completion in row:
            said = row[roles.completion]
            named["completion"] = [{"role": "assistant", "content": said}] if isinstance(said, str) else said
        if roles.use == CONVERSATIONS and roles.text in row:
            named["text"] = row[roles.text]
        return named

    made = {"prompt": roles.prompt, "solution": roles.answer}
    if roles.use == CONVERSATIONS:
        made |= {"messages": roles.messages, "completion": roles.completion, "text": roles.text}
    in_the_way = [column for column, source in made.items() if {column, source} <= set(rows.column_names)]
    if not len(rows):
        return rows
    named = rows.map(name_columns, with_indices=True, remove_columns=in_the_way, desc=None)
    assert isinstance(named, Dataset)
    return named


def conversations(rows: Dataset, form: str = "split") -> Dataset:
    """Rows for SFT, from what `load` returns for it: `messages` first, then `completion`, then the solution.

    Args:
        rows: with `messages`, `completion` or `solution`, and `prompt`; or with `text`.
        form: "split" gives `prompt` and `completion`, the last assistant's turn, which alone is trained on; "whole"
            gives `messages`, for a loss over every assistant's turn; "text" gives `text`, all of it trained on.
    """

    def shape(row: dict[str, Any]) -> dict[str, Any]:
        if form == "text":
            return {"text": row["text"]}
        turns = row.get("messages")
        if not turns:
            turns = row["prompt"] + (row.get("completion") or [{"role": "assistant", "content": row["solution"]}])
        return {"messages": turns} if form == "whole" else {"prompt": turns[:-1], "completion": turns[-1:]}

    result = rows.map(shape, remove_columns=rows.column_names, desc=None)
    assert isinstance(result, Dataset)
    return result


def fingerprint(rows: Dataset) -> str:
    """A hash of the rows' content: equal content, equal fingerprint, wherever it was loaded from."""
    digest = hashlib.sha256()
    with lengthy(f"taking the fingerprint of {plural(len(rows), 'row')}"):
        for row in rows:
            digest.update(repr(sorted(row.items())).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]


def last_user_text(prompt: Sequence[dict[str, str]] | str) -> str:
    """The text of a prompt's last message."""
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]
