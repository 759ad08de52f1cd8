"""Judging ahead: what is whole is judged while the rest is made, what is not is left to the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from r1lab.engines.base import Completion
from r1lab.engines.store import Store, key_of
from r1lab.engines.stored import record_of
from r1lab.evaluators.ahead import Ahead

KEYS = [key_of(number=number) for number in range(5)]


def texts(start: int, rows: Sequence[Sequence[Completion]]) -> list[str]:
    """The judge: it cannot judge the word "broken"."""
    found = ["".join(item.text for item in row) for row in rows]
    if "broken" in found:
        raise ValueError("broken")
    return [f"{start}:{text}" for text in found]


def test_what_is_whole_is_judged_meanwhile(tmp_path: Path) -> None:
    with Store(tmp_path) as store:

        def put(problem: int, index: int, text: str, ahead: Ahead[list[str]]) -> None:
            store.add(KEYS[problem], index, record_of(Completion(text, 1, "stop")))
            ahead.made()

        with Ahead(store, KEYS, 2, 2, texts) as ahead:
            for problem, index, text in ((1, 1, "d"), (0, 0, "a"), (0, 1, "b"), (2, 0, "bro"), (2, 1, "ken")):
                put(problem, index, text, ahead)
            assert ahead.judged == {}  # the first two problems lack one completion
            put(1, 0, "c", ahead)
            assert ahead.judged[0].result(60) == ["0:ab", "0:cd"]
            put(4, 0, "e", ahead)
            put(3, 0, "f", ahead)
            put(3, 1, "g", ahead)
        assert ahead.found(0) == ["0:ab", "0:cd"]
        assert ahead.found(2) is None  # the judge raised
        assert ahead.found(4) is None  # one completion was never made
