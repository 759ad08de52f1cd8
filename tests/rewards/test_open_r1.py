"""Value by value beside Open-R1: its rewards' values on inputs written here, and every difference by its name.

`open_r1_values.json` holds what Open-R1 gives (with math-verify 0.9), `open_r1_differences.json` where r1lab
differs and what it gives instead; docs/rewards.md says why under the same name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1lab.rewards import load

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs/rewards.md"
VALUES = json.loads((HERE / "open_r1_values.json").read_text(encoding="utf-8"))
DIFFERENCES = json.loads((HERE / "open_r1_differences.json").read_text(encoding="utf-8"))
CALLS = VALUES["others"]


def test_accuracy_differs_only_where_it_says_so() -> None:
    completions, golds, theirs = (list(column) for column in zip(*VALUES["accuracy"], strict=True))
    ours = load("accuracy")(completions, solution=golds)
    listed = {(text, gold): (was, now) for rows in DIFFERENCES["accuracy"].values() for text, gold, was, now in rows}
    differ = {
        (text, gold): (was, now)
        for text, gold, was, now in zip(completions, golds, theirs, ours, strict=True)
        if was != now
    }
    assert differ == listed


@pytest.mark.parametrize("place", range(len(CALLS)), ids=[f"{n}-{call['reward']}" for n, call in enumerate(CALLS)])
def test_other_rewards_differ_only_where_they_say_so(place: int) -> None:
    call = CALLS[place]
    columns: dict[str, Any] = dict(call["columns"])
    if lengths := columns.pop("completion_lengths", None):
        columns["completion_ids"] = [[0] * length for length in lengths]
    ours = load(call["reward"], **call["parameters"])(call["completions"], **columns)
    expected = dict(enumerate(call["values"]))
    for rows in DIFFERENCES["others"].values():
        for number, index, was, now in rows:
            if number == place:
                assert expected[index] == was
                expected[index] = now
    assert ours == [value if value is None else pytest.approx(value, abs=1e-12) for value in expected.values()]


@pytest.mark.parametrize("name", [*DIFFERENCES["accuracy"], *DIFFERENCES["others"]])
def test_every_difference_is_explained(name: str) -> None:
    assert f"**{name}**" in DOCS.read_text(encoding="utf-8").replace("`", "")
