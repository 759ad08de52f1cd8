"""Which column is what, and whether a row is fit for what it is used for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from r1lab.wording import some

ROLES = ("system", "developer", "user", "assistant", "tool")  # of a turn
PROMPTS, CONVERSATIONS, TEXTS = "prompts", "conversations", "texts"


@dataclass(frozen=True)
class Roles:
    """The columns of a dataset by what they are for, and what the rows are used for.

    `use` is `PROMPTS` where a model completes the rows, `CONVERSATIONS` where it is trained on them as they stand,
    `TEXTS` where prompts are only read, and may be missing, "" where nothing is asked of them. What a row is trained on
    is, in this order: `messages`, `text`, `prompt` with `completion`, `prompt` with `answer`.
    """

    prompt: str | None = None
    answer: str | None = None
    messages: str | None = None
    text: str | None = None
    completion: str | None = None
    use: str = ""

    @property
    def texts(self) -> set[str]:
        """Columns that hold text even where they look like numbers."""
        return {name for name in (self.prompt, self.messages, self.text, self.completion) if name}

    def needed(self, columns: Collection[str]) -> list[str]:
        """The roles without whose columns the rows are of no use; `columns` are those that are there."""
        if self.use in (PROMPTS, TEXTS):
            return ["messages"] if self.prompt is None and self.messages else ["prompt"]
        if self.use != CONVERSATIONS:
            return []
        if self.messages or self.text:
            return ["messages" if self.messages else "text"]
        return ["prompt", "completion" if self.completion else "answer"]


def roles_of(dataset: Mapping[str, Any], task: str) -> Roles:
    """The roles that a config's `dataset` names, for a task."""
    use = {"sft": CONVERSATIONS, "decontaminate": TEXTS}.get(task, PROMPTS)
    names = {role: dataset.get(role) for role in ("prompt", "answer", "messages", "text", "completion")}
    return Roles(**{role: str(name) for role, name in names.items() if name}, use=use)


def row_fault(row: Mapping[str, Any], roles: Roles) -> str:
    """What makes a row unfit for its use, "" where nothing does; a column that it lacks counts as null."""
    if roles.use == PROMPTS:
        return prompt_fault(row, roles) or answer_fault(row, roles)
    if roles.use != CONVERSATIONS:
        return ""
    if roles.messages and (row.get(roles.messages) is not None or not _answered(row, roles)):
        return messages_fault(row.get(roles.messages), roles.messages)
    if roles.text:
        return text_fault(row.get(roles.text), roles.text, "text")
    said = roles.completion or roles.answer or ""
    fault = prompt_fault(row, roles)
    if fault or not isinstance(row.get(said), list):
        return fault or text_fault(row.get(said), said, "completion", numbers=not roles.completion)
    return messages_fault(row[said], said)


def _answered(row: Mapping[str, Any], roles: Roles) -> bool:
    """Whether a row without messages has a prompt and something to say to it."""
    return bool(row.get(roles.prompt or "")) and row.get(roles.completion or roles.answer or "") is not None


def text_fault(value: Any, column: str, noun: str, *, numbers: bool = False) -> str:
    """What is wrong with a text."""
    if value is None:
        return f"has no {noun} (column {column} is null)"
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        return ""
    if not isinstance(value, str):
        return f"has {_noun(value)} where its {noun} should be (column {column}), not text"
    return "" if value.strip() else f"has an empty {noun} (column {column})"


def _noun(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}
    return kinds.get(type(value), type(value).__name__)


def prompt_fault(row: Mapping[str, Any], roles: Roles) -> str:
    """What is wrong with a row's prompt: it is text or a conversation, and not empty."""
    if roles.prompt is None:
        return messages_fault(row.get(roles.messages or ""), roles.messages or "messages")
    value = row.get(roles.prompt)
    if not isinstance(value, list):
        fault = text_fault(value, roles.prompt, "prompt")
        return fault + (" or a conversation" if fault.endswith("not text") else "")
    return turns_fault(value, roles.prompt)


def answer_fault(row: Mapping[str, Any], roles: Roles) -> str:
    """What is wrong with a row's answer: it is text, a number, or null where it cannot be verified."""
    value = row.get(roles.answer) if roles.answer else None
    if isinstance(value, list | dict):
        return f"has {_noun(value)} for an answer (column {roles.answer}); an answer is text or a number"
    return ""


def messages_fault(value: Any, column: str) -> str:
    """What is wrong with a whole conversation: it needs an assistant's turn, and none of those may be empty."""
    if value is None:
        return f"has no conversation (column {column} is null)"
    if not isinstance(value, list):
        return f"has {_noun(value)} where its conversation should be (column {column}); it is a list of turns"
    if fault := turns_fault(value, column):
        return fault
    said = [turn for turn in value if turn["role"] == "assistant"]
    if not said:
        return f"has a conversation without an assistant's turn (column {column})"
    empty = not all((turn.get("content") or "").strip() or turn.get("tool_calls") for turn in said)
    return f"has an empty completion: an assistant's turn without text (column {column})" if empty else ""


def turns_fault(turns: list[Any], column: str) -> str:
    """What is wrong with the turns of a conversation."""
    if not turns:
        return f"has an empty conversation (column {column})"
    for number, turn in enumerate(turns, 1):
        if not isinstance(turn, Mapping) or not {"role", "content"} <= turn.keys():
            keys = some(map(str, turn)) if isinstance(turn, Mapping) else _noun(turn)
            return f"has a turn of {keys} where role and content should be (column {column}, turn {number})"
        if turn["role"] not in ROLES:
            return (
                f"has a turn of the unknown role {turn['role']!r} (column {column}, turn {number}): {', '.join(ROLES)}"
            )
        content = turn["content"]
        if not isinstance(content, str) and not (content is None and turn["role"] == "assistant"):
            return f"has {_noun(content)} for a turn's content (column {column}, turn {number})"
    return ""
