"""Conversations, cut and completed."""

from __future__ import annotations

from typing import Any

Turns = list[dict[str, Any]]


def up_to_the_answer(turns: Turns) -> Turns:
    """A conversation up to its last assistant's turn; the whole of one that has none."""
    last = max((number for number, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns) - 1)
    return turns[: last + 1]


def before_the_answer(turns: Turns) -> Turns:
    """What the last assistant's turn of a conversation answers."""
    return up_to_the_answer(turns)[:-1]


def with_system(turns: Turns, text: str | None, replace: bool = False) -> Turns:
    """A conversation that begins with a system prompt: its own, unless that is to be replaced."""
    own = bool(turns) and turns[0]["role"] == "system"
    if not text or (own and not replace):
        return turns
    return [{"role": "system", "content": text}, *(turns[1:] if own else turns)]
