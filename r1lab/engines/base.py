"""What every engine takes and gives: conversations and sampling settings in, completions out, in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Conversation = list[dict[str, str]]
OnProgress = Callable[[int, int], None]  # completions done, completions asked for
OnCompletion = Callable[[int, int, "Completion"], None]  # place of the prompt, index of the completion, completion


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    `n` completions of each prompt, of at most `max_tokens` tokens with the end. `temperature` 0 takes the likeliest
    token; `top_k` 0, `top_p` 1 and `min_p` 0 exclude none. `first` is the index of the first of the n, for engines
    whose dice depend on it: asking for more later gives others.
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    seed: int = 0
    min_p: float = 0.0
    first: int = 0


@dataclass(frozen=True)
class Completion:
    """One completion.

    Attributes:
        text: without special tokens, and without what the engine keeps apart as reasoning.
        tokens: with the end, and with the reasoning's.
        finish: "stop", "length", "refusal" (the server would not), "overflow" (the prompt leaves no room for
            `max_tokens`) or "error".
        ids: its tokens, where the engine knows them.
        reasoning: what the engine keeps apart.
        prompt_tokens: of the prompt, where the engine counts them.
        error: why there is none; "" where there is one.
    """

    text: str
    tokens: int
    finish: str
    ids: tuple[int, ...] | None = None
    reasoning: str = ""
    prompt_tokens: int | None = None
    error: str = ""


def seed_of(seed: int, prompt: Conversation, index: int) -> int:
    """A seed from 0 to 2³¹ − 1 for one completion, whatever else is asked for with it."""
    text = json.dumps([seed, list(prompt), index], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def overflow(prompt: int, longest: int, context: int | None) -> Completion | None:
    """The completion of a prompt of so many tokens that leaves no room for the longest one; None where it does."""
    if context is None or prompt + longest <= context:
        return None
    what = f"the prompt has {prompt} tokens; with {longest} new ones that is more than the context of {context}"
    return Completion("", 0, "overflow", prompt_tokens=prompt, error=what)


class Engine(Protocol):
    """Something that completes conversations."""

    def generate(
        self,
        prompts: Sequence[Conversation],
        sampling: Sampling,
        on_progress: OnProgress | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[list[Completion]]:
        """Sample `sampling.n` completions of each prompt, in the order of the prompts.

        Args:
            on_progress: told how many are done.
            on_completion: given each completion as soon as it is there, in any order; what it raises ends the sampling.
                Nothing is returned then, so that memory does not grow with what was made.
        """
        ...
