"""generator=distilabel with the real distilabel: what it keeps, in parts, after failures and after a crash."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from r1lab.engines.base import Sampling
from r1lab.engines.server import ServerEngine
from r1lab.errors import DataError, EngineError
from r1lab.generation.distilabel import DistilabelEngine, row_of
from tests.command_line import CommandLine, r1lab  # noqa: F401
from tests.engines.chat_server import ChatServer
from tests.generation.conftest import Generate, right_when_even

pytestmark = pytest.mark.whole

Serve = Callable[..., ChatServer]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return load_dataset("parquet", data_files=str(folder / "dataset/all/*.parquet"), split="train").to_list()


def test_it_keeps_what_the_own_client_keeps(serve: Serve, generate: Generate, tmp_path: Path) -> None:
    """The same rows, the same order, the same seeds; one that is refused is no answer, and costs no other one."""

    def refusing(body: dict[str, Any], place: int) -> Any:
        full = (400, {"error": {"message": "no"}})
        return full if body["messages"][-1]["content"].startswith("What is 5 ") else right_when_even(body, place)

    mine = generate(serve(refusing), folder="own")
    server = serve(refusing)
    theirs = generate(server, "generator=distilabel", "generator.shard=8", folder="distilabel")
    assert rows_of(tmp_path / "distilabel") == rows_of(tmp_path / "own")
    assert len(server.requests) == 12 * 3
    assert mine["failures"] == theirs["failures"] == 3 and theirs["rows"] == 33
    assert theirs["generate/accuracy"] == mine["generate/accuracy"]
    assert not (tmp_path / "distilabel/.distilabel").exists()
    again = generate(server, "generator=distilabel", f"task.store={tmp_path}/distilabel/store", folder="again")
    assert len(server.requests) == 12 * 3 + 3  # those that failed
    assert again["rows"] == 33


def test_a_crash_loses_at_most_a_part(serve: Serve, tmp_path: Path) -> None:
    """The process beside the run dies in the second of three pipelines: what the first one made is handed on."""
    prompts = [[{"role": "user", "content": f"What is {i} ?"}] for i in range(6)]
    kept: list[tuple[int, int]] = []
    engines: list[DistilabelEngine] = []

    def deadly(body: dict[str, Any], place: int) -> Any:
        if body["messages"][-1]["content"] == "What is 3 ?":
            os.kill(engines[0].child.pid, 9)
        return right_when_even(body, place)

    server = ServerEngine([serve(deadly).url], tries=1)
    try:
        with DistilabelEngine(server, "tiny", tmp_path, 2, 1, None) as engine:
            engines.append(engine)
            with pytest.raises(EngineError, match=r"before its work was done\n    log      .*distilabel\.log"):
                engine.generate(prompts, Sampling(seed=1), None, lambda place, index, made: kept.append((place, index)))
    finally:
        server.close()
    assert kept == [(0, 0), (1, 0)]


def test_prompts_that_textgeneration_does_not_take() -> None:
    turns = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
    assert row_of(turns[:2], 4) == {"place": 4, "instruction": "user", "system_prompt": "system"}
    assert row_of(turns[1:2], 0) == {"place": 0, "instruction": "user"}
    with pytest.raises(DataError, match=r"row 5: .* takes one question, not turns of system, user, assistant, user"):
        row_of(turns, 4)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["engine=transformers"], "distilabel asks a server, and engine=transformers is none"),
        (["engine.urls=[http://a:1/v1,http://b:1/v1]"], "distilabel asks one server, and engine.urls names 2"),
        (["engine.urls=[http://a:1/v1]", "generator.shard=0"], "generator.shard=0 is no number from 1 on"),
    ],
)
def test_the_plan_refuses(r1lab: CommandLine, words: list[str], what: str) -> None:  # noqa: F811
    assert r1lab.one("task=generate", "generator=distilabel", "engine=server", *words)["what"] == what


@pytest.mark.parametrize(("ray", "told"), [("auto", True), ("head:6379", True), ("local", False)])
def test_a_server_that_a_cluster_does_not_find_is_told(r1lab: CommandLine, ray: str, told: bool) -> None:  # noqa: F811
    words = ("engine=server", "engine.urls=[http://localhost:1/v1]", f"generator.ray={ray}", "dry_run=true")
    said = r1lab("task=generate", "generator=distilabel", *words)
    what = f"on Ray's other nodes, generator.ray={ray}, a server at this machine's own address is not found"
    assert said.code == 0 and (what in said.out) == told
