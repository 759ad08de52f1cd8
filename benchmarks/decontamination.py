"""task=decontaminate's comparison beside sets of 8-word strings in `datasets.map`; the flags must be the same.

python -m benchmarks.decontamination            # writes benchmarks/results/decontamination.json

100,000 rows of 20 to 120 words against 1,500 documents, on two cores each. The reference lowers and splits each row,
makes a set of its n-grams and intersects it with the documents', two processes side by side, as Open-R1 does it. Then
the whole task, with the files it reads and writes, on 500,000 and 2,000,000 rows: seconds and the most memory of any of
its processes.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from benchmarks.measure import claim, keep
from r1lab.data.flags import Found, fields, values
from r1lab.data.overlap import Overlap
from r1lab.data.stream import of_rows

N, ROWS, DOCUMENTS, CORES, ROUNDS = 8, 100_000, 1_500, 2, 3
LARGE = (500_000, 2_000_000)
MOST_MEMORY = 2.0  # GB


def vocabulary(size: int = 20_000) -> list[str]:
    """Words of two to nine letters."""
    dice = random.Random(0)
    return ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(size)]


def documents() -> list[str]:
    """Benchmark problems of 20 to 300 words."""
    dice, words = random.Random(1), vocabulary()
    return [" ".join(dice.choices(words, k=dice.randint(20, 300))) for _ in range(DOCUMENTS)]


def texts(count: int, seed: int = 2) -> Iterator[str]:
    """Rows of 20 to 120 words, one in a hundred with ten to fifteen words of a document."""
    dice, words, sources = random.Random(seed), vocabulary(), documents()
    for number in range(count):
        row = dice.choices(words, k=dice.randint(20, 120))
        if number % 100 == 0:
            source = dice.choice(sources).split()
            begin, place = dice.randrange(len(source) - 10), dice.randrange(len(row))
            row[place:place] = source[begin : begin + dice.randint(10, 15)]
        yield " ".join(row)


def grams(text: str) -> set[str]:
    """All n words in a row."""
    words = text.lower().split()
    return {" ".join(words[start : start + N]) for start in range(len(words) - N + 1)}


def reference(rows: Dataset, sources: list[str]) -> Dataset:
    """A set of n-grams for each row, intersected with the documents' set."""
    known = set().union(*map(grams, sources))
    return rows.map(
        lambda row: {"contaminated": not known.isdisjoint(grams(row["problem"]))},
        num_proc=CORES,
        load_from_cache_file=False,
    )


def ours(rows: Dataset, sources: list[str]) -> list[bool]:
    """The flags of every row, with documents, spans and the table that holds them, as the task makes them."""
    overlap, found, flags = Overlap({"benchmark": sources}, N, CORES), Found(), []
    for batch in of_rows(rows, "rows").texts("problem", "prompt"):
        for match in overlap.find(batch):
            found.matches.setdefault(found.rows + match.row, []).append(match)
        here = range(found.rows, found.rows + len(batch))
        columns = [values(found, here, column) for column in fields(["benchmark"], duplicates=False)]
        flags += columns[0].to_pylist()
        found.rows += len(batch)
    return flags


def beside(rows: Dataset, sources: list[str]) -> dict[str, Any]:
    """Rows a second of both, in turns; the flags are compared each time."""
    seconds: dict[str, list[float]] = {"reference": [], "r1lab": []}
    for _ in range(ROUNDS):
        began = time.perf_counter()
        theirs = reference(rows, sources)
        between = time.perf_counter()
        mine = ours(rows, sources)
        seconds["r1lab"].append(time.perf_counter() - between)
        seconds["reference"].append(between - began)
        assert mine == theirs["contaminated"]
    best = {name: min(times) for name, times in seconds.items()}
    return {
        "rows": ROWS,
        "documents": DOCUMENTS,
        "flagged": sum(mine),
        **{f"{name}_rows_per_s": round(ROWS / value) for name, value in best.items()},
        "times_faster": round(best["reference"] / best["r1lab"], 1),
        "times_faster_by_round": [round(a / b, 1) for a, b in zip(seconds["reference"], seconds["r1lab"], strict=True)],
    }


def whole_task(folder: Path, count: int, *words: str) -> dict[str, Any]:
    """The task from parquet to parquet: seconds of the process, and the most memory it held."""
    file, exam = folder / f"{count}.parquet", folder / "exam.parquet"
    if not file.exists():
        with pq.ParquetWriter(file, pa.schema([("problem", pa.string())])) as writer:
            chunk: list[str] = []
            for text in texts(count):
                chunk.append(text)
                if len(chunk) == 50_000:
                    writer.write_table(pa.table({"problem": chunk}))
                    chunk = []
        pq.write_table(pa.table({"problem": documents()}), exam)
    command = [
        *(sys.executable, "-m", "r1lab", "task=decontaminate", "dataset=local"),
        *(
            f"dataset.path={file}",
            f"task.against=[{{path: {exam}}}]",
            f"outputs={folder}/outputs",
            f"name=n{count}",
            *words,
        ),
    ]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)  # with what the run's own process, its child, used
    seconds = time.perf_counter() - began
    assert status == 0, command
    metrics = json.loads(max((folder / "outputs" / f"n{count}").glob("*/metrics.json")).read_text())
    seconds_of_cpu = used.ru_utime + used.ru_stime
    return {
        "rows": count,
        "words": " ".join(words),
        "contaminated": metrics["contaminated"],
        "command_s": round(seconds, 1),
        "cpu_s": round(seconds_of_cpu, 1),
        "task_s": metrics["seconds"],
        "rows_per_s": round(count / metrics["seconds"]),
        "peak_memory_gb": round(used.ru_maxrss * 1024 / 1e9, 2),
    }


def main() -> None:
    """Measure; exit code 1 where a figure misses its aim."""
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        datasets.config.HF_DATASETS_CACHE = folder / "cache"
        pq.write_table(pa.table({"problem": list(texts(ROWS))}), folder / "rows.parquet")
        rows = Dataset.from_parquet(str(folder / "rows.parquet"), cache_dir=str(folder / "cache"))
        compared = beside(rows, documents())
        whole = [whole_task(folder, count) for count in LARGE]
        near = whole_task(folder, LARGE[-1], "task.duplicates=near", "task.remove=true")
    times = [item["task_s"] / item["rows"] for item in whole]
    work = [item["cpu_s"] / item["rows"] for item in whole]
    most = max(item["peak_memory_gb"] for item in [*whole, near])
    growth = {"seconds": round(times[1] / times[0], 2), "cpu_seconds": round(work[1] / work[0], 2)}
    keep("decontamination", {"comparison": compared, "whole_task": [*whole, near], "per_row_at_2,000,000_rows": growth})
    reached = [
        claim("times the reference's rows a second, the same flags", compared["times_faster"], ">=", 10),
        claim("GB of memory at most, 2,000,000 rows", most, "<", MOST_MEMORY),
        claim("seconds a row, 2,000,000 rows beside 500,000", growth["seconds"], "<", 1.2),
        claim("processor seconds a row, likewise", growth["cpu_seconds"], "<", 1.2),
    ]
    sys.exit(not all(reached))


if __name__ == "__main__":
    main()
