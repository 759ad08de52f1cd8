"""A generation from a config to its folder, in this process, against a server that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r1lab.notebook import compose, run
from r1lab.remote import pool, retrying
from tests.engines.chat_server import Answer, ChatServer, completion

ROWS = [{"problem": f"What is {i} + {i}?", "answer": str(2 * i), "level": "easy"} for i in range(12)]
Generate = Callable[..., dict[str, Any]]


def right_when_even(body: dict[str, Any], _place: int) -> Any:
    """A right answer where the seed is even, else a wrong one; longer ones for larger seeds."""
    number = int(body["messages"][-1]["content"].split()[2])
    said = 2 * number if body["seed"] % 2 == 0 else 2 * number + 1
    return completion(f"<answer>{said}</answer>", tokens=3 + body["seed"] % 50)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChatServer]]:
    """Starts servers, with short pauses between tries."""
    monkeypatch.setattr(retrying, "FIRST", 0.01)
    monkeypatch.setattr(pool, "REST", 0.05)
    servers: list[ChatServer] = []

    def make(answer: Answer = right_when_even, **settings: Any) -> ChatServer:
        servers.append(ChatServer(answer, **settings))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """A file of rows."""
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.fixture
def generate(problems: Path, tmp_path: Path) -> Generate:
    """Runs a generation from a server over the problems; its metrics."""

    def go(server: ChatServer, *words: str, folder: str = "run", **keys: Any) -> dict[str, Any]:
        common = ("task=generate", "accelerator=cpu", "debug=true", "engine=server", "dataset=local", "engine.tries=3")
        cfg = compose(*common, "reward=[accuracy]", "task.n=3", *words)
        cfg.engine.urls, cfg.dataset.path = [server.url], str(problems)
        for key, value in keys.items():
            cfg.task[key] = value
        return run(cfg, tmp_path / folder)

    return go
