"""task=decontaminate and task=filter with hub=push, as processes, and what `datasets` then reads from the stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.chat_server import ChatServer, completion
from tests.hub.conftest import Run
from tests.hub.stand_in import READER, WRITER, StandIn

pytestmark = pytest.mark.whole

EXAM = "one two three four five six seven eight nine"
TEXTS = ["clean", f"say: {EXAM}", "clean as well"]
READ = """
import json, sys, datasets
datasets.disable_progress_bars()
print(json.dumps(datasets.load_dataset(sys.argv[1], split="train").to_list()))
"""


@pytest.fixture
def decontaminate(command: Run) -> Run:
    """Decontaminates three rows of which the second is contaminated."""
    Path("exam.jsonl").write_text(json.dumps({"problem": EXAM}) + "\n")
    Path("rows.jsonl").write_text("".join(json.dumps({"problem": t, "n": n}) + "\n" for n, t in enumerate(TEXTS)))
    words = ("task=decontaminate", "dataset=local", "dataset.path=rows.jsonl", "task.against=[{path: exam.jsonl}]")
    return lambda *more: command(*words, "hydra.run.dir=run", *more)


@pytest.fixture
def filtered(command: Run) -> Iterator[Run]:
    """Filters three rows of which a model solves the first always, the second in one of two, the third never."""

    def answered(body: dict[str, Any], _place: int) -> Any:
        number = int(body["messages"][-1]["content"].split()[1])
        seen[number] = seen.get(number, 0) + 1
        return completion(rf"\boxed{{{number if seen[number] > number else -1}}}")

    seen: dict[int, int] = {}
    server = ChatServer(answered)
    Path("rows.jsonl").write_text("".join(f'{{"problem": "problem {n}", "answer": "{n}"}}\n' for n in range(3)))
    words = ("task=filter", "engine=server", f"engine.urls=[{server.url}]", "dataset=local", "dataset.path=rows.jsonl")
    more = ("reward=[accuracy]", "task.n=2", "accelerator=cpu", "hydra.run.dir=run")
    yield lambda *words_: command(*words, *more, *words_)
    server.close()


def read(repo: str) -> list[dict[str, Any]]:
    """The rows that `datasets` reads from the stand-in, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", READ, repo], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_flagged_rows_arrive_and_are_read_back(decontaminate: Run, hub: StandIn) -> None:
    done = decontaminate("hub=push")
    assert done.returncode == 0, done.stderr
    assert f"pushed to {hub.url}/datasets/ada/rows_decontaminated" in done.stderr
    repo = hub.repo("ada/rows_decontaminated", "dataset")
    assert repo.private
    assert set(repo.files()) == {"README.md", "data/train-00000.parquet", "run.yaml", "metrics.json"}
    for name, content in repo.files().items():
        assert WRITER.encode() not in content and str(Path.cwd()).encode() not in content, name
    rows = read("ada/rows_decontaminated")
    assert [row["problem"] for row in rows] == TEXTS and [row["n"] for row in rows] == [0, 1, 2]
    assert [row["contaminated_exam"] for row in rows] == [False, True, False]
    span = " ".join(EXAM.split()[:8])
    assert rows[1]["contamination"] == [{"source": "exam", "document": 0, "span": span}]


def test_kept_rows_arrive_under_their_own_name_and_public_by_choice(filtered: Run, hub: StandIn) -> None:
    done = filtered("hub=push", "task.output=lab/sometimes", "hub.private=false")
    assert done.returncode == 0, done.stderr
    assert not hub.repo("lab/sometimes", "dataset").private
    (row,) = read("lab/sometimes")
    assert (row["row"], row["problem"], row["pass_rate"]) == (1, "problem 1", 0.5)
    assert sorted(row["rewards"]["accuracy"]) == [0.0, 1.0] and len(row["generations"]) == 2


@pytest.mark.parametrize(
    ("token", "words", "said"),
    [
        (None, (), "hub=push needs a Hugging Face token"),
        (READER, (), "the token of ada may only read"),
        (WRITER, ("hub.repo=nobody/rows",), "the token may not do that (403)"),
        (WRITER, ("hub.repo=open",), "ada/open is public, and hub.private is true"),
        (WRITER, ("hub.repo=full",), "ada/full@main holds 1 file already"),
    ],
)
def test_what_may_not_be_pushed_is_said_before_a_row_is_read(
    decontaminate: Run, hub: StandIn, monkeypatch: pytest.MonkeyPatch, token: str | None, words: tuple[str], said: str
) -> None:
    hub.make("ada/open", "dataset", private=False)
    hub.make("ada/full", "dataset", rows=b"of somebody")
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    done = decontaminate("hub=push", *words)
    assert done.returncode == 2 and said in done.stderr + done.stdout and "Traceback" not in done.stderr
    assert not Path("run/dataset").exists() and not hub.asked("POST", "/commit/")


def test_a_refusal_at_the_end_keeps_what_was_made_and_one_command_makes_up_for_it(
    filtered: Run, command: Run, hub: StandIn
) -> None:
    hub.fail("POST", "/commit/", 403, times=100)
    done = filtered("hub=push")
    assert done.returncode == 0, done.stderr
    told = [line.strip() for line in done.stderr.splitlines()]
    assert "r1lab: not on the Hub yet: main" in told
    assert any(
        line.startswith("because  pushing dataset to ada/rows_filtered@main: the token may not do") for line in told
    )
    assert "later    python -m r1lab task=push task.run=run" in told
    assert Path("run/dataset/data/train-00000.parquet").is_file()
    assert hub.repo("ada/rows_filtered", "dataset").files() == {}
    hub.faults.clear()
    again = command("task=push", "task.run=run")
    assert again.returncode == 0, again.stderr
    assert [row["row"] for row in read("ada/rows_filtered")] == [1]


def test_a_run_that_was_not_meant_to_be_pushed_goes_under_its_datasets_name(
    decontaminate: Run, command: Run, hub: StandIn
) -> None:
    assert decontaminate("task.remove=true").returncode == 0
    assert hub.requests == []
    pushed = command("task=push", "task.run=run")
    assert pushed.returncode == 0, pushed.stderr
    assert hub.repo("ada/rows_decontaminated", "dataset").private
    assert read("ada/rows_decontaminated") == [{"problem": TEXTS[n], "n": n} for n in (0, 2)]
