"""Every reward survives what no model should write; 200 completions here, 10,000 in tests/drill/malformed.py."""

from __future__ import annotations

import pytest

from r1lab.rewards import Reward
from r1lab.rewards.pool import SECONDS, Pool
from tests.rewards.malformed import HUGE, PIECES, drawn, judge, rewards

COUNT = 200
impatient = Pool(2, SECONDS / 10)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    found = [*drawn(COUNT), *PIECES, *HUGE]
    assert len(set(found)) > COUNT
    return found


@pytest.mark.parametrize("reward", rewards(), ids=lambda reward: reward.__name__)
def test_any_completion_gets_a_finite_number_or_none(
    reward: Reward, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1lab.rewards.math.pool", lambda _workers=None: impatient)
    assert len(judge(reward, texts)) == len(texts)
