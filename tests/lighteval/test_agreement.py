"""Both evaluators on the same stored completions: native's verdicts and lighteval's, and a person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.evaluation.records import Record
from r1lab.evaluators import native
from tests.engines.chat_server import ChatServer
from tests.lighteval.completions import STORED
from tests.lighteval.conftest import resolved

Left = tuple[Path, dict[str, Record]]


@pytest.fixture(scope="module")
def natives(words: list[str], ours: Left, server: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """native on the store that lighteval's run filled: only what could not be made is asked for again."""
    folder, before = tmp_path_factory.mktemp("native"), len(server.requests)
    cfg = resolved([*words, "evaluator=native", f"task.store={ours[0] / 'store'}"], folder)
    records = {record.benchmark: record for record in native.evaluate(cfg, folder)}
    assert len(server.requests) == before + sum(
        item.right is None for rows in STORED.values() for row in rows for item in row
    )
    return folder, records


@pytest.mark.parametrize("name", STORED)
def test_they_agree_but_for_what_is_explained(natives: Left, ours: Left, name: str) -> None:
    mine, theirs = natives[1][name].problems, ours[1][name].problems
    assert [problem.id for problem in mine] == [problem.id for problem in theirs]
    apart = 0
    for one, other, row in zip(mine, theirs, STORED[name], strict=True):
        assert (one.prompt, one.gold) == (other.prompt, other.gold)
        for a, b, stored in zip(one.samples, other.samples, row, strict=True):
            assert (a.text, a.seed, a.tokens) == (b.text, b.seed, b.tokens)
            assert (a.right, b.right) == (stored.ours, stored.theirs), (one.id, stored.text)
            apart += a.right != b.right
            assert stored.ours == stored.theirs or stored.why
    assert apart == sum(item.ours != item.theirs for row in STORED[name] for item in row) <= 2


def test_enough_of_each_kind_is_right_and_wrong() -> None:
    for rows in STORED.values():
        flat = [item for row in rows for item in row]
        assert len(flat) >= 12 and 0.3 <= sum(item.right is True for item in flat) / len(flat) <= 0.7


def test_what_made_them_differs_in_the_evaluator_alone(natives: Left, ours: Left) -> None:
    for name in STORED:
        one, other = natives[1][name].made_by, ours[1][name].made_by
        assert (one["evaluator"], other["evaluator"]) == ("native", "lighteval")
        for part in ("model", "prompt", "template", "sampling", "data"):
            assert one[part] == other[part], part
