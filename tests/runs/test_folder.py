"""A run's folder stays readable whatever interrupts the writing of it."""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from r1lab.errors import ResumeError
from r1lab.runs.folder import COMPLETE, STREAMS, RunFolder, dumps, finite, storage_cause, write_atomic

texts = st.text(st.characters(), max_size=8)  # lone surrogates among them
leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
records = st.lists(st.fixed_dictionaries({"step": st.integers(0, 9), "value": values}), max_size=8)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def checkpoint(folder: RunFolder, step: int, whole: bool = True) -> Path:
    path = folder.checkpoints / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    if whole:
        (path / COMPLETE).touch()
    return path


@given(records)
@settings(max_examples=50, deadline=None)
def test_any_record_can_be_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for row in rows:
        folder.append("metrics.jsonl", [row])
    assert list(folder.records("metrics.jsonl")) == [finite(row) for row in rows]
    assert (folder.path / "metrics.jsonl").exists() == bool(rows)


@given(records, st.integers(-1, 9), st.integers(0, 400))
@settings(max_examples=50, deadline=None)
def test_rewinding_keeps_the_whole_records_up_to_a_step(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], step: int, torn: int
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.append("metrics.jsonl", rows)
    file = folder.path / "metrics.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[: max(0, len(content) - torn)])  # what a kill in the middle of a write leaves
    lines = file.read_text().split("\n")
    whole = [finite(row) for row, line in zip(rows, lines, strict=False) if line == dumps(row)]
    assert list(folder.records("metrics.jsonl")) == whole
    folder.rewind(step)
    kept = [row for row in whole if row["step"] <= step]
    assert list(folder.records("metrics.jsonl")) == kept
    folder.append("metrics.jsonl", [{"step": 10}])
    assert list(folder.records("metrics.jsonl")) == [*kept, {"step": 10}]


def test_rewinding_covers_every_stream_and_makes_none(folder: RunFolder) -> None:
    folder.append(STREAMS[1], [{"step": 1}, {"step": 2}])
    folder.rewind(1)
    assert list(folder.records(STREAMS[1])) == [{"step": 1}]
    assert [name for name in STREAMS if (folder.path / name).exists()] == [STREAMS[1]]
    assert list(folder.records(STREAMS[0])) == []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, "null"),
        ([math.inf, -math.inf, 1.5], "[null, null, 1.5]"),
        ({"a": (1, math.nan)}, '{"a": [1, null]}'),
        ("\ud800 é", '"\\ud800 \\u00e9"'),
        (True, "true"),
    ],
)
def test_what_json_has_no_word_for(value: Any, written: str) -> None:
    assert dumps(value) == written


def test_a_stream_with_garbage_at_its_end(folder: RunFolder) -> None:
    folder.append("metrics.jsonl", [{"step": 1}])
    with (folder.path / "metrics.jsonl").open("ab") as file:
        file.write(b"\x00\x00\xff\xfe")
    assert list(folder.records("metrics.jsonl")) == [{"step": 1}]
    folder.rewind(5)
    assert (folder.path / "metrics.jsonl").read_text() == '{"step": 1}\n'


def keep_writing(path: Path) -> None:
    for number in range(10**9):
        write_atomic(path, json.dumps({"number": number, "ballast": "x" * 200_000}))


def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    context = multiprocessing.get_context("fork")
    seen = set()
    for wait in (0.02, 0.031, 0.043):
        writer = context.Process(target=keep_writing, args=(path,))
        writer.start()
        while not path.exists():
            pass
        writer.join(wait)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        content = json.loads(path.read_text())
        assert len(content["ballast"]) == 200_000
        seen.add(content["number"])
    write_atomic(path, "{}")
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_atomic(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"


def test_lone_surrogates_in_whole_files(tmp_path: Path) -> None:
    write_atomic(tmp_path / "deep" / "x.txt", "a\ud800é")
    assert (tmp_path / "deep" / "x.txt").read_text(encoding="utf-8") == "a\\ud800é"


def test_the_config_comes_back(folder: RunFolder) -> None:
    cfg = OmegaConf.create(
        {"name": "x: [y", "task": {"name": "on"}, "trainer": {"beta": None}, "list": [1, "on", True]}
    )
    assert folder.write_config(cfg) == folder.path / "run.yaml"
    assert folder.read_config() == cfg
    assert (folder.model, folder.checkpoints) == (folder.path / "model", folder.path / "checkpoints")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is not a run's folder: it does not exist"), (b"a: [", "cannot be read"), (b"", "cannot be read"),
     (b"\xff", "cannot be read"), (b"- a\n", "cannot be read")],
)  # fmt: skip
def test_a_folder_without_a_config(content: bytes | None, message: str, folder: RunFolder) -> None:
    if content is not None:
        folder.path.mkdir()
        (folder.path / "run.yaml").write_bytes(content)
    with pytest.raises(ResumeError, match=message):
        folder.read_config()


def test_json_files(folder: RunFolder) -> None:
    assert folder.read_json("metrics.json") == {}
    folder.write_json("metrics.json", {"loss": math.nan, "steps": 3})
    assert folder.read_json("metrics.json") == {"loss": None, "steps": 3}


def test_the_last_whole_checkpoint(folder: RunFolder) -> None:
    assert folder.last_checkpoint() is None
    checkpoint(folder, 9)
    newest = checkpoint(folder, 10)
    half = checkpoint(folder, 20, whole=False)
    assert folder.last_checkpoint() == newest
    assert half.exists()  # looking changes nothing
    folder.drop_half_written()
    assert not half.exists()
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["checkpoint-10", "checkpoint-9"]


def test_only_half_a_checkpoint_is_none(folder: RunFolder) -> None:
    checkpoint(folder, 5, whole=False)
    assert folder.last_checkpoint() is None
    folder.drop_half_written()
    assert list(folder.checkpoints.iterdir()) == []


def lock_and_tell(path: Path, queue: Any) -> None:
    try:
        with RunFolder(path).locked():
            queue.put("locked")
    except ResumeError as error:
        queue.put(str(error))


def test_one_process_at_a_time(folder: RunFolder) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def ask() -> Any:
        other = context.Process(target=lock_and_tell, args=(folder.path, queue))
        other.start()
        answer = queue.get()
        other.join()
        return answer

    with folder.locked():
        assert ask() == f"{folder.path} is in use: another process is running in it"
        with pytest.raises(ResumeError, match="is in use"), RunFolder(folder.path).locked():
            pass
    assert ask() == "locked"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "x", "outputs/a"), "No space left on device: outputs/a"),
        (OSError(errno.EDQUOT, "x"), "Disk quota exceeded"),
        (OSError(errno.EROFS, "x"), "Read-only file system"),
        (RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"), "the disk is full"),
        (RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"), "the disk is full"),
        (OSError(errno.ENOENT, "x"), None),
        (ValueError("nothing of the kind"), None),
    ],
)
def test_errors_that_mean_a_full_disk(error: Exception, cause: str | None) -> None:
    said = storage_cause(error)
    assert said == cause or (said is not None and cause is not None and said.startswith(cause))


UGLY = (b"{", b"", b"[]\n", b"3\n", b"null\n", b'{"status": "fini', b"\xff\xfe\x00\x01")


@pytest.mark.parametrize("content", UGLY)
def test_a_file_that_is_no_json_object_is_refused_by_name(folder: RunFolder, content: bytes) -> None:
    folder.path.mkdir()
    (folder.path / "manifest.json").write_bytes(content)
    with pytest.raises(ResumeError, match=r"run/manifest\.json cannot be read.*\n    fix      remove the file"):
        folder.read_json("manifest.json")


@pytest.mark.parametrize("content", [*UGLY, b"a: [\n", b"- 1\n"])
def test_a_config_that_is_none_is_refused_by_name(folder: RunFolder, content: bytes) -> None:
    folder.path.mkdir()
    (folder.path / "run.yaml").write_bytes(content)
    with pytest.raises(ResumeError, match=r"run/run\.yaml cannot be read"):
        folder.read_config()


@pytest.mark.parametrize("line", [b"3\n", b"[]\n", b"null\n"])
def test_a_line_of_a_stream_that_is_no_object_ends_it(folder: RunFolder, line: bytes) -> None:
    folder.append("metrics.jsonl", [{"step": 1}])
    with (folder.path / "metrics.jsonl").open("ab") as file:
        file.write(line)
    folder.append("metrics.jsonl", [{"step": 2}])
    assert list(folder.records("metrics.jsonl")) == [{"step": 1}]
