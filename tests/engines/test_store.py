"""The completion store: nothing twice, nothing lost, whatever is killed and whoever else writes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from r1lab.engines.store import ENTRY, HEAD, Store, key_of
from r1lab.errors import StorageError

A, B = key_of(prompt="a"), key_of(prompt="b")
WRITER = """
import os, signal, sys
from pathlib import Path
from r1lab.engines.store import Store, key_of

def write(folder, problems):
    store = Store(Path(folder))
    for i in range(problems):
        for j in store.missing(key_of(prompt=i), 4):
            store.add(key_of(prompt=i), j, {"completion": f"{i}/{j} " + "x" * 500})
            print(f"{i} {j}", flush=True)
"""
KILLER = (
    WRITER
    + """
for kill in range(20):
    hear, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(tell, 1)
        write(sys.argv[1], 120)
        os._exit(0)
    os.close(tell)
    with open(hear) as told:
        lines = [told.readline() for _ in range(5 + 7 * (kill % 4))]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        lines += told.readlines()
    print("".join(line for line in lines if line.endswith("\\n")), end="")  # the last may be cut
"""
)
WRITER += "\nwrite(sys.argv[1], int(sys.argv[2]))\n"


def content(folder: Path) -> dict[tuple[str, int], str]:
    with Store(folder) as store:
        found = [((item["key"], item["index"]), item["completion"]) for item in store.records()]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_only_the_missing_ones(tmp_path):
    with Store(tmp_path) as store:
        assert store.missing(A, 3) == [0, 1, 2]
        for index in (0, 2):
            store.add(A, index, {"completion": str(index)})
        assert store.missing(A, 4) == [1, 3]
        assert store.missing(B, 1) == [0]
        assert len(store) == 2
    with Store(tmp_path) as store:
        assert store.missing(A, 4) == [1, 3]
        store.add(A, 0, {"completion": "again"})  # left alone
        store.add(A, 1, {"completion": "1"})
        assert len(store) == 3
    assert content(tmp_path) == {(A, 0): "0", (A, 1): "1", (A, 2): "2"}


def test_failures_are_kept_and_asked_for_again(tmp_path):
    with Store(tmp_path) as store:
        store.add_failure(A, 0, "time-out")
        assert store.missing(A, 1) == [0]
    with Store(tmp_path) as store:
        assert store.missing(A, 1) == [0]
        store.add(A, 0, {"completion": "late"})
    assert content(tmp_path) == {(A, 0): "late"}
    lines = [json.loads(line) for file in sorted(tmp_path.glob("*.jsonl")) for line in file.read_text().splitlines()]
    assert [line.get("error") for line in lines] == ["time-out", None]


def test_lookup_reads_single_records(tmp_path):
    with Store(tmp_path) as store:
        for key in (A, B):
            for index in range(3):
                store.add(key, index, {"completion": f"{key[:4]} {index} ü"})
        with store.lookup() as lookup:
            assert lookup(B, 1) == {"key": B, "index": 1, "completion": f"{B[:4]} 1 ü"}
            assert lookup(B, 3) is None and lookup(key_of(prompt="c"), 0) is None


def test_lookup_finds_what_a_dictionary_would(tmp_path):
    random = np.random.default_rng(0)
    keys = [bytes(random.integers(0, 3, 16, np.uint8)).hex() for _ in range(40)]  # many zero bytes, at ends too
    keys += ["00" * 16, "00" * 15 + "01", "01" + "00" * 15]
    wanted = {}
    first, second = Store(tmp_path), Store(tmp_path)  # two writers that have the same ones made
    for number, store in enumerate([first, second, first]):
        for key in random.choice(keys, 60):
            index = int(random.choice([0, 1, 255, 256, 70_000]))
            store.add(key, index, {"by": number % 2})
            wanted.setdefault((key, index, number % 2), number % 2)
    first.close(), second.close()
    with Store(tmp_path).lookup() as lookup:
        for key in keys:
            for index in (0, 1, 2, 255, 256, 70_000):
                by = [number for number in (0, 1) if (key, index, number) in wanted]
                found = lookup(key, index)
                assert found == ({"key": key, "index": index, "by": by[0]} if by else None)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_loses_only_the_last_line(tmp_path, cut):
    with Store(tmp_path) as store:
        for index in range(3):
            store.add(A, index, {"completion": str(index)})
    (segment,) = tmp_path.glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-cut])
    index = segment.with_suffix(".index")
    index.write_bytes(index.read_bytes()[: 2 * ENTRY.itemsize + 5])  # the index was not written in full either
    assert content(tmp_path) == {(A, 0): "0", (A, 1): "1"}
    with Store(tmp_path) as store:
        assert store.missing(A, 3) == [2]


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("cut", [1, 30, 70, 200])
def test_an_index_that_is_ahead_of_its_data_promises_nothing(tmp_path, cut, zeros):
    """A crash of the machine may keep the index and lose the data, or leave zeros in its place."""
    with Store(tmp_path) as store:
        for index in range(4):
            store.add(A, index, {"completion": str(index)})
    (segment,) = tmp_path.glob("*.jsonl")
    lines = segment.read_bytes()
    whole = lines[:-cut].count(b"\n")
    segment.write_bytes(lines[:-cut] + b"\0" * cut * zeros)
    with Store(tmp_path) as store:
        assert store.missing(A, 4) == list(range(whole, 4))
        for index in range(whole, 4):
            store.add(A, index, {"completion": f"again {index}"})
        with store.lookup() as lookup:
            said = [lookup(A, index)["completion"] for index in range(4)]
    assert said == [str(index) if index < whole else f"again {index}" for index in range(4)]


def test_data_that_is_broken_in_its_middle_is_named(tmp_path):
    with Store(tmp_path) as store:
        for index in range(3):
            store.add(A, index, {"completion": str(index)})
    (segment,) = tmp_path.glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + b"\0" * len(lines[1]) + lines[2])
    with Store(tmp_path) as store, store.lookup() as lookup:
        assert lookup(A, 2)["completion"] == "2"
        with pytest.raises(StorageError, match=r"is broken at byte .*\n    fix      rm .*\.index"):
            lookup(A, 1)
    segment.with_suffix(".index").unlink()
    with Store(tmp_path) as store:
        assert store.missing(A, 3) == [1, 2]  # the zeros have no end of a line: they are a part of the next


def test_lines_of_others_are_left_out(tmp_path):
    with Store(tmp_path) as store:
        store.add(A, 0, {"completion": "0"})
    odd = [
        {"key": A, "index": -1},
        {"key": A, "index": 2**40},
        {"key": A, "index": "1"},
        {"key": "ab", "index": 1},
        [1],
    ]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(line) + "\n" for line in odd) + "[" * 100_000 + "\n")
    with Store(tmp_path) as store:
        assert store.missing(A, 3) == [1, 2]


def test_data_without_an_index_is_found(tmp_path):
    with Store(tmp_path) as store:
        for index in range(3):
            store.add(A, index, {"completion": str(index)})
    for file in tmp_path.glob("*.index"):
        file.unlink()
    with Store(tmp_path) as store:
        assert store.missing(A, 4) == [3]
        with store.lookup() as lookup:
            assert lookup(A, 1)["completion"] == "1"


def test_twenty_kills_lose_nothing_that_was_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    told = {tuple(map(int, line.split())) for line in done.stdout.splitlines()}
    assert len(told) >= 5
    kept = content(tmp_path)
    missed = {(i, j) for i, j in told if (key_of(prompt=i), j) not in kept}
    assert len(missed) == 0
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), "120"], stdout=subprocess.DEVNULL, check=True)
    kept = content(tmp_path)
    assert len(kept) == 480
    assert all(kept[key_of(prompt=i), j].startswith(f"{i}/{j} ") for i in range(120) for j in range(4))


def test_two_writers_at_once(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path), "100"]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(content(tmp_path)) == 400


def test_datasets_reads_it(tmp_path):
    with Store(tmp_path) as store:
        for index in range(3):
            store.add(A, index, {"completion": "ü\ud800\n" + str(index), "tokens": index})
    rows = load_dataset("json", data_files=str(tmp_path / "*.jsonl"), split="train")
    assert rows["tokens"][:] == [0, 1, 2]


def test_a_newer_store_is_left_alone(tmp_path):
    (tmp_path / HEAD).write_text('{"version": 2}')
    with pytest.raises(StorageError, match="newer r1lab"):
        Store(tmp_path)
    (tmp_path / HEAD).write_text("{")
    with pytest.raises(StorageError, match="is broken"):
        Store(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Store(tmp_path / "file" / "store")


FULL = """
import resource, signal, sys
from pathlib import Path
from r1lab.engines.store import Store, key_of
from r1lab.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
made = 0
try:
    for i in range(100):
        store.add(key_of(prompt=i), 0, {"completion": "y" * 400})
        made += 1
except StorageError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.add(key_of(prompt=made), 0, {"completion": "z"})
store.close()
print(made)
"""


def test_a_full_disk_is_said_and_what_was_made_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    said, made = done.stdout.splitlines()
    assert "File too large" in said
    kept = content(tmp_path)
    assert len(kept) == int(made) + 1 and kept[key_of(prompt=int(made)), 0] == "z"


def test_keys_tell_everything_apart():
    parts = {
        "prompt": [{"role": "user", "content": "1"}],
        "model": "m",
        "revision": "main",
        "temperature": 1.0,
        "seed": 0,
    }
    keys = {key_of(**parts)}
    changes = [("prompt", [{"role": "user", "content": "2"}]), ("model", "n"), ("revision", None), ("seed", 1)]
    for name, value in [*changes, ("temperature", 0.9), ("top_p", 1.0)]:
        keys.add(key_of(**{**parts, name: value}))
    assert len(keys) == 7
    assert key_of(**dict(reversed(parts.items()))) in keys


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.text(max_size=20)), max_size=30))
def test_any_order_of_additions(tmp_path_factory, additions):
    folder = tmp_path_factory.mktemp("store")
    expected: dict[tuple[str, int], str] = {}
    for place, (name, index, text) in enumerate(additions):
        with Store(folder) as store:
            store.add(key_of(prompt=name), index, {"completion": text})
            expected.setdefault((key_of(prompt=name), index), text)
            if place % 3 == 0:
                store.add_failure(key_of(prompt=name), index + 1, "no")
    assert content(folder) == expected


def test_a_large_store_opens_at_once_and_stays_small(tmp_path):
    """20,000 completions of 2 kB: opening reads the index alone."""
    with Store(tmp_path) as store:
        for i in range(5000):
            key = key_of(prompt=i)
            for index in range(4):
                store.add(key, index, {"completion": "x" * 2000})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    with Store(tmp_path) as store:
        seconds = time.process_time() - began
        assert len(store) == 20_000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert seconds < 1.0
    assert grown < 20 * 1024  # kB; the data are 40 MB
