"""What several rooms' tests share: a model small enough to train in milliseconds, and which tests run by default."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read by the libraries when they are imported: the network stays out of it, and threads do not fight for two cores.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRL_EXPERIMENTAL_SILENCE="1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Composing makes millions of small objects in processes that hold all of torch and TRL, which a full collection walks.
gc.set_threshold(20_000, 20, 100)

SMALL = (  # the built model in small: it has learnt nothing, and a run with it takes a second
    "accelerator=cpu",
    "model.layers=2",
    "model.hidden=32",
    "model.intermediate=64",
    "model.build.steps=2",
    "model.build.problems=64",
    "model.build.batch=8",
    "dataset.train=64",
    "dataset.test=16",
    "eval.problems=8",
    "eval.max_tokens=16",
)


# Minutes each: they begin, and the others fill the rest of the time.
FIRST = ("test_main_job.py", "test_notebook_file.py", "test_twins.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless `-m whole`, `slurm`, `ray`, `lighteval` or `slow`, or `--slow`, asks for it."""
    asked = config.getoption("-m")
    left = [] if config.getoption("--slow") or "slow" in asked else ["slow"]
    left += [name for name in ("slurm", "whole", "ray", "lighteval") if name not in asked]
    out = [item for item in items if any(item.get_closest_marker(name) for name in left)]
    config.hook.pytest_deselected(items=out)
    kept = [item for item in items if item not in out]
    items[:] = sorted(kept, key=lambda item: item.path.name not in FIRST)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where models are built and rows are cached, in the place of the user's own; one for all workers."""
    beside = "PYTEST_XDIST_WORKER" in os.environ  # then each worker's folder lies in one of the whole run
    folder = tmp_path_factory.getbasetemp().parent / "cache" if beside else tmp_path_factory.mktemp("cache")
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1LAB_CACHE", str(folder))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "datasets")
        yield folder


@pytest.fixture(scope="session")
def small(cache: Path) -> tuple[str, ...]:
    """The overrides of a run with the built model in small, which is built by now."""
    from r1lab.models import tiny
    from r1lab.notebook import compose

    tiny.ensure(compose(*SMALL).model)
    return SMALL
