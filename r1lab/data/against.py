"""The documents of the benchmarks that data is compared with."""

from __future__ import annotations

from omegaconf import OmegaConf

from r1lab.data import hub
from r1lab.data.stream import Stream, loaded, of_files, of_rows
from r1lab.errors import DataError
from r1lab.rows.against import Benchmark
from r1lab.rows.mixture import settings_of
from r1lab.rows.roles import TEXTS, Roles
from r1lab.terminal import lengthy


def documents_of(benchmark: Benchmark) -> list[str]:
    """The texts of a benchmark, in their order; "" where one is missing.

    Raises:
        DataError: it cannot be loaded, lacks the column, or has no text in it.
    """
    try:
        with lengthy(f"reading {benchmark.label} from {benchmark.value}, to compare with"):
            texts = _rows(benchmark).texts(benchmark.prompt, "prompt")
            found = [text or "" for batch in texts for text in batch.to_pylist()]
    except DataError as error:
        raise DataError(f"task.against: {benchmark.label}: {error}") from error
    if not any(text.strip() for text in found):
        raise DataError(f"task.against: {benchmark.label} has no text in its column {benchmark.prompt}")
    return found


def _rows(benchmark: Benchmark) -> Stream:
    value, split = benchmark.value, benchmark.split
    if benchmark.kind == "path":
        return of_files(value, Roles(prompt=benchmark.prompt, use=TEXTS), split or "test", "path")
    if benchmark.kind == "id":
        return of_rows(hub.read(value, benchmark.config, split or "test", benchmark.revision, "id"), value)
    settings = settings_of(value)
    settings["split"], settings["test_split"] = split or settings.get("test_split") or settings.get("split"), None
    given = {"config": benchmark.config, "revision": benchmark.revision}
    settings |= {key: value for key, value in given.items() if value is not None}
    return of_rows(loaded(OmegaConf.create(settings)).train, value)
