"""What every engine takes and gives: conversations and sampling settings in, completions out, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Conversation = list[dict[str, str]]
OnProgress = Callable[[int, int], None]  # completions done, completions asked for


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    `n` completions of each prompt, of at most `max_tokens` tokens with the end. `temperature` 0 takes the likeliest
    token; `top_k` 0, `top_p` 1 and `min_p` 0 exclude none.
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    seed: int = 0
    min_p: float = 0.0


@dataclass(frozen=True)
class Completion:
    """One completion: its text without special tokens, its tokens including the end, "stop" or "length".

    `ids` are those tokens, where the engine knows them.
    """

    text: str
    tokens: int
    finish: str
    ids: tuple[int, ...] | None = None


class Engine(Protocol):
    """Something that completes conversations."""

    def generate(
        self, prompts: Sequence[Conversation], sampling: Sampling, on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        """Sample `sampling.n` completions of each prompt, in the order of the prompts."""
        ...
