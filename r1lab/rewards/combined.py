"""Rewards made of other rewards, by their names and parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from r1lab.errors import ConfigError, Finding
from r1lab.rewards.base import Failure, Mark, Reward
from r1lab.rewards.named import part

Settings = Mapping[str, Any]


def weighted_sum(
    completions: list[str], *, parts: dict[str, Any], sandbox: Settings | str | None = None, **columns: Any
) -> list[Mark]:
    """Σ weight × score over several rewards as one; None where any of them skips, a failure where any of them fails.

    Args:
        completions: (B,) texts.
        parts: name → weight, or name → parameters with `weight` among them.
        sandbox: the config of the sandbox for parts that run programs.
        columns: (B,) each, whatever the parts read.

    Raises:
        ConfigError: a part is no reward, or there is none.
    """
    if not parts:
        raise ConfigError([Finding("weighted_sum has no parts", fix="parts={accuracy: 1.0, format: 0.2}")])
    rewards = [built(name, settings, sandbox) for name, settings in parts.items()]
    judged = [reward.judge(completions, **columns) for reward in rewards]
    return [_sum(row, rewards) for row in zip(*judged, strict=True)]


def _sum(marks: tuple[Mark, ...], rewards: list[Reward]) -> Mark:
    failed = [mark for mark in marks if isinstance(mark, Failure)]
    if failed:
        return failed[0]
    numbers = [mark * reward.weight for mark, reward in zip(marks, rewards, strict=True) if isinstance(mark, float)]
    return sum(numbers) if len(numbers) == len(marks) else None


def gate(
    completions: list[str],
    *,
    first: dict[str, Any] | str,
    then: dict[str, Any] | str,
    at_least: float = 1.0,
    otherwise: float = 0.0,
    sandbox: Settings | str | None = None,
    **columns: Any,
) -> list[Mark]:
    """The second reward's score where the first one's is at least `at_least`, else `otherwise`.

    The second reward sees only the completions that pass, so that what is costly (a sandbox) is not spent on the rest.
    Where the first one skips or fails, so does this.

    Args:
        completions: (B,) texts.
        first: the name of the reward that must be passed, or {name: parameters}.
        then: the one that scores.
        sandbox: the config of the sandbox for a reward that runs programs.
        columns: (B,) each, whatever both read.

    Raises:
        ConfigError: either is no reward.
    """
    opening, scoring = only(first, sandbox), only(then, sandbox)
    count = len(completions)
    opened = opening.judge(completions, **columns)
    marks: list[Mark] = [otherwise if isinstance(mark, float) else mark for mark in opened]
    places = [place for place, mark in enumerate(opened) if isinstance(mark, float) and mark >= at_least]
    if places:
        kept = {
            name: [value[place] for place in places] if isinstance(value, list) and len(value) == count else value
            for name, value in columns.items()
        }
        scored = scoring.judge([completions[place] for place in places], **kept)
        for place, mark in zip(places, scored, strict=True):
            marks[place] = mark
    return marks


def only(settings: Settings | str, sandbox: Settings | str | None = None) -> Reward:
    """The one reward that a name or {name: parameters} describes."""
    named = {settings: {}} if isinstance(settings, str) else settings
    if len(named) != 1:
        raise ConfigError([Finding(f"{dict(named)} is not one reward", fix="format, or {format: {}}")])
    ((name, values),) = named.items()
    return built(str(name), values, sandbox)


def built(name: str, settings: Any, sandbox: Settings | str | None = None) -> Reward:
    """The reward of a name with its weight or its parameters; made once, so that one with a state keeps it."""
    return _built(name, json.dumps(settings, sort_keys=True), json.dumps(sandbox, sort_keys=True))


@cache
def _built(name: str, settings: str, sandbox: str) -> Reward:
    return part(name, json.loads(settings), json.loads(sandbox))
