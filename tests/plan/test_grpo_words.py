"""Words under `task` of a GRPO run that do not fit, each one finding with its nearest choice."""

from __future__ import annotations

import pytest

from tests.command_line import CommandLine

WORDS = [
    ("task.resample=-1", "task.resample=-1 is a number of rounds", None),
    ("task.resampel=1", "task.resampel is not a field", "task.resample"),
    ("task.curriculum.column=solutoin", "has no such column", "solution"),
    ("task.curriculum.order=easyfirst", "task.curriculum.order=easyfirst is not known", "easy_first"),
    ("task.curriculum.noise=-1", "is a share of all problems", None),
    ("task.watch.stop=[deadreward]", "there is no warning 'deadreward'", "dead_reward"),
    ("task.watch.window=0", "needs at least one logged step", None),
    ("task.watch.zerospread=1", "task.watch.zerospread is not a field", "task.watch.zero_spread"),
]


@pytest.mark.parametrize(("word", "what", "nearest"), WORDS)
def test_one_finding_each(r1lab: CommandLine, word: str, what: str, nearest: str | None) -> None:
    row = r1lab.one(word)
    assert what in row["what"]
    assert nearest is None or row["nearest"] == nearest


def test_what_fits(r1lab: CommandLine) -> None:
    words = ["task.resample=3", "task.watch.stop=[kl,dead_reward]", "task.watch.kl=null"]
    assert r1lab.accepts(*words).task.watch.stop == ["kl", "dead_reward"]
