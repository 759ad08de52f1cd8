"""Files of runs and sweeps that a hand or a crash broke: refused by name with the way out, and nothing is started."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1lab.config.compose import session
from r1lab.config.schema import Run
from r1lab.errors import R1labError
from r1lab.evaluation.result import keep, result_of
from r1lab.notebook import compose
from r1lab.plan.rescore import check_rescore
from r1lab.plan.resumed import plan_resumed
from r1lab.runs.config import OR_NONE, PARTS, fault_of
from r1lab.runs.folder import RunFolder
from r1lab.tasks import cancel, model_card, push, report, status
from tests.command_line import CommandLine
from tests.evaluation.building import problem, record, sample

BROKEN = (b"{", b"", b"not JSON", b"[]\n", b"3\n", b"null\n", b'{"words": ["se', b"\xff\xfe\x00\x01")
NO_SWEEP = (*BROKEN, b'{"words": 3}', b'{"tries": []}', b'{"tries": {"0": [3]}}', b'{"tries": {"0": [{"next": "x"}]}}')
NO_QUEUE = (
    *BROKEN,
    b'{"handing": 3}',
    b'{"jobs": {"a": "x"}}',
    b'{"jobs": 3}',
    b'{"jobs": ["a"]}',
    b'{"jobs": {"a": 3}}',
)
SWEEP = ("-m", "seed=1,2")
Run_ = dict[str, Any]


def test_the_parts_are_the_schema_s_mappings() -> None:
    """Counted anew from the schema's types."""
    types = {field.name: str(field.type) for field in dataclasses.fields(Run)}
    assert {name for name, kind in types.items() if kind.startswith("dict") or kind[0].isupper()} == set(PARTS)
    assert [name for name in PARTS if types[name].endswith("| None")] == [OR_NONE]


@pytest.fixture
def run(r1lab: CommandLine) -> Path:
    """The folder of an evaluation of a benchmark."""
    words = ("task=eval", "benchmark=[aime24]", "benchmark.aime24.max_tokens=64", "hydra.run.dir=runs/a")
    assert list(r1lab(*words).started) == [Path("runs/a")]
    found = record(problem("1", sample(1.0)), problem("2", sample(0.0)))
    keep(Path("runs/a"), found, result_of(found))
    RunFolder("runs/a").write_json("manifest.json", {"status": "finished"})
    return Path("runs/a")


def spoilt(run: Path, change: Callable[[Run_], Any]) -> None:
    """Write a run's config changed."""
    file = run / "run.yaml"
    cfg = yaml.safe_load(file.read_text())
    changed = change(cfg)
    file.write_text(yaml.safe_dump(cfg if changed is None else changed))


OTHERS: list[tuple[Callable[[Run_], Any], str]] = [  # what is in the file, and what is said of it
    (lambda _: ["a", "b"], "a list"),
    (lambda _: "a text", "has no task"),
    (lambda _: 3, "cannot be read"),
    (lambda _: {"steps": 3}, "has no task"),
    (lambda cfg: cfg.update(task="eval"), "its task is a text"),
    (lambda cfg: cfg.update(task=None), "its task is nothing"),
    (lambda cfg: cfg.update(task={}), "its task has no name"),
    (lambda cfg: cfg.update(model=["tiny"]), "its model is a list"),
    (lambda cfg: cfg.update(benchmark={"aime24": 3}), "its benchmark.aime24 is a number"),
    (lambda cfg: cfg.update(seed="${nothing}"), "cannot be read"),
]
ONLY_RESUMED: list[tuple[Callable[[Run_], Any], str]] = [  # that nobody misses who only looks at the run
    (lambda cfg: cfg.pop("reward") and None, "has no reward"),
    (lambda cfg: cfg.pop("seed") and None, "lacks seed"),
    (lambda cfg: cfg["engine"].pop("name") and None, "lacks engine.name"),
    (lambda cfg: cfg["task"].pop("n") and None, "lacks task.n"),
    (lambda cfg: cfg.update(dataset={}), "lacks dataset."),
    (lambda cfg: cfg.update(plugins=3), "its plugins is a number"),
]


def test_resuming_what_is_no_run(run: Path, r1lab: CommandLine) -> None:
    whole = (run / "run.yaml").read_text()
    for change, said in [*OTHERS, *ONLY_RESUMED]:
        (run / "run.yaml").write_text(whole)
        spoilt(run, change)
        found = r1lab.one("resume=runs/a")
        assert said in found["what"] and "runs/a/run.yaml" in found["what"]
        assert found["where"] == "override resume=runs/a" and found["fix"].startswith("put ")
        assert "nearest" not in found
    (run / "run.yaml").write_text(whole)
    with session():
        assert plan_resumed(run, ["resume=runs/a"]).errors == []


def test_tasks_that_read_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (run / "run.yaml").read_text()
    tasks = {
        module: compose(f"task={module.__name__.rpartition('.')[2]}", "task.run=runs/a")
        for module in (model_card, push, report)
    }
    rescore = compose("task=rescore", "task.completions=runs/a", "reward=[accuracy]")
    all_runs = compose("task=status", "task.run=runs", "task.json=true")
    for change, said in OTHERS:
        (run / "run.yaml").write_text(whole)
        spoilt(run, change)
        for module in (model_card, push):
            with pytest.raises(R1labError, match=r"run\.yaml cannot be read") as caught:
                module.run(tasks[module])
            assert caught.value.exit_code == 2 and said in str(caught.value)
            assert str(caught.value).splitlines()[1].startswith("    fix      put back the file")
        (found,) = check_rescore(rescore, str)
        assert said in found.what and found.fix == "task.completions=runs/a/evaluation"
        report.run(tasks[report])  # whose page says itself what it lacks
        capsys.readouterr()
        status.run(all_runs)
        assert [item["state"] for item in json.loads(capsys.readouterr().out)] == ["finished"]


def test_a_whole_config_has_no_fault(run: Path) -> None:
    whole = yaml.safe_load((run / "run.yaml").read_text())
    assert fault_of(whole, PARTS) == ""
    assert fault_of(whole, ("model.nothing",)) == "it has no model.nothing, as a run's config has"


def test_a_sweep_whose_notes_are_broken_is_not_begun_anew(r1lab: CommandLine) -> None:
    r1lab(*SWEEP)
    (file,) = Path("outputs/sweeps").glob("*/sweep.json")
    again = compose("task=report", f"task.run={file.parent}")
    for content in NO_SWEEP:
        file.write_bytes(content)
        found = r1lab.one(*SWEEP)  # which compares the whole tree before and after
        assert str(file) in found["what"] and "cannot be read" in found["what"]
        assert found["fix"].startswith("move that file away") and "sweep.new=true" in found["fix"]
        with pytest.raises(R1labError, match=r"sweep\.json cannot be read"):
            report.run(again)
        assert file.read_bytes() == content
    assert r1lab.one(*SWEEP, f"hydra.sweep.dir={file.parent}")["fix"].endswith("another hydra.sweep.dir")
    assert r1lab.one(f"resume={file.parent}/0")["where"] == f"override resume={file.parent}/0"


def test_each_way_out_of_a_broken_sweep_works(r1lab: CommandLine) -> None:
    r1lab(*SWEEP)
    (file,) = Path("outputs/sweeps").glob("*/sweep.json")
    whole = file.read_bytes()
    file.write_bytes(b"{")
    r1lab.refused(*SWEEP)
    assert len(r1lab(*SWEEP, "sweep.new=true").started) == 2
    assert len(r1lab("-m", "seed=1,2", "sweep.new=true").started) == 2
    for other in set(Path("outputs/sweeps").glob("*/sweep.json")) - {file}:
        other.rename(other.with_name("elsewhere"))
    file.write_bytes(whole)
    assert "goes on with the sweep" in r1lab(*SWEEP).out
    file.write_bytes(b"{")
    file.rename(file.with_name("sweep.json.broken"))
    said = r1lab(*SWEEP)
    assert said.code == 0 and len(said.started) == 2 and "goes on" not in said.out


def test_a_broken_note_of_the_queue_does_not_read_as_empty(
    r1lab: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    r1lab(*SWEEP)
    (sweep,) = Path("outputs/sweeps").iterdir()
    RunFolder("outputs/other").write_json("manifest.json", {"status": "finished"})
    ending, all_runs = compose("task=cancel", f"task.run={sweep}"), compose("task=status", "task.json=true")
    file = sweep / "slurm.json"
    for content in NO_QUEUE:
        file.write_bytes(content)
        with pytest.raises(R1labError, match=r"slurm\.json cannot be read") as caught:
            cancel.run(ending)
        assert caught.value.exit_code == 2 and "\n    fix      move that file away" in str(caught.value)
        capsys.readouterr()
        status.run(all_runs)
        told = {item["run"]: item for item in json.loads(capsys.readouterr().out)}
        assert told["outputs/other"]["state"] == "finished"
        assert told[str(sweep)]["state"] == "unreadable" and "slurm.json cannot be read" in told[str(sweep)]["why"]
    found = r1lab.one(*SWEEP)
    assert str(file) in found["what"] and "squeue" in found["fix"]
    assert file.read_bytes() == content
