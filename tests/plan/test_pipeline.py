"""Pipelines before anything starts: the graph, its words, its keys, and what a dry run tells of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from r1lab.config.compose import session
from r1lab.errors import ResumeError
from r1lab.plan.pipeline import Pipeline, intent_of, plan_pipeline
from r1lab.plan.request import plan_words
from r1lab.plan.stage_keys import key_of
from r1lab.plan.stages import Stage, graph_of
from r1lab.runs.folder import RunFolder
from tests.command_line import CommandLine
from tests.small_pipeline import HEAD

Write = Callable[[str, str], Path]
PATH = (
    HEAD
    + """\
    traces:
      choose: {task: generate, reward: [accuracy]}
      task.problems: 20
    sft:
      choose: {task: sft, dataset: local}
      dataset.path: ${stage.traces.dataset}
      dataset: {messages: messages, prompt: prompt, answer: solution}
      trainer.max_steps: 3
    measured:
      choose: {task: eval}
      model.path: ${stage.sft.model}
"""
)


@pytest.fixture
def path(r1lab: CommandLine, write: Write) -> str:
    write("experiments/path.yaml", PATH)
    return "experiment=path"


def planned(r1lab: CommandLine, *words: str) -> Pipeline:
    """The planned stages of a pipeline."""
    with session():
        return plan_pipeline(plan_words(list(words)).cfg)


def keys(r1lab: CommandLine, *words: str) -> dict[str, str]:
    return {item.stage.name: item.key for item in planned(r1lab, *words).stages}


def test_a_dry_run_shows_the_graph_and_starts_nothing(r1lab: CommandLine, path: str) -> None:
    said = r1lab(path, "dry_run=true")
    assert (said.code, said.err, said.started) == (0, "", {})
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "pipeline flow traces → sft · sft → measured" in lines
    assert "stages 3 stages: 3 would run" in lines
    assert "takes dataset of traces" in lines and "takes model of sft" in lines
    assert "steps 3" in lines
    assert not Path("outputs").exists()
    told = json.loads(r1lab(path, "dry_run=json").out)
    assert told["pipeline"]["stages"] == "3 stages: 3 would run"
    assert told["sft"]["now"] == "would run: to be run"


def test_what_has_finished_would_be_skipped(r1lab: CommandLine, path: str) -> None:
    for item in planned(r1lab, path).stages[:1]:
        item.folder.mkdir(parents=True)
        (item.folder / "manifest.json").write_text('{"status": "finished"}')
        (item.folder / "metrics.json").write_text("{}")
        (item.folder / "dataset/sft").mkdir(parents=True)
        row = {"prompt": [{"role": "user", "content": "?"}], "solution": "1"}
        row["messages"] = [*row["prompt"], {"role": "assistant", "content": "1"}]
        (item.folder / "dataset/sft/a.jsonl").write_text(json.dumps(row) + "\n")
    again = planned(r1lab, path)
    assert [item.does for item in again.stages] == ["skip", "run", "run"]
    assert planned(r1lab, path, "task.stages.traces.task.n=5").stages[0].does == "run"


def test_a_key_tells_what_bears_on_the_result(r1lab: CommandLine, path: str) -> None:
    before = keys(r1lab, path)
    assert all(len(key) == 12 for key in before.values())
    for word, differ in {
        "seed=7": {"traces", "sft", "measured"},
        "task.stages.sft.trainer.max_steps=4": {"sft", "measured"},
        "task.stages.measured.task.n=9": {"measured"},
        "task.stages.traces.choose.model=tiny": set(),  # as it was, said
        "outputs=elsewhere": set(),
        "name=other": set(),
        "task.each.choose.accelerator=auto": set(),  # the same processor, said otherwise
    }.items():
        after = keys(r1lab, path, word)
        assert {name for name in before if before[name] != after[name]} == differ, word


def test_a_key_follows_the_content_of_a_file(r1lab: CommandLine, path: str, write: Write) -> None:
    rows = write("own.jsonl", '{"q": "1+1", "a": "2"}\n{"q": "1+2", "a": "3"}\n')
    words = [path, "task.stages.traces.choose.dataset=local", "task.stages.traces.dataset.path=own.jsonl"]
    words += ["task.stages.traces.dataset.prompt=q", "task.stages.traces.dataset.answer=a"]
    first = keys(r1lab, *words)
    rows.write_text('{"q": "1+1", "a": "2"}\n{"q": "1+2", "a": "4"}\n')
    second = keys(r1lab, *words)
    assert {name for name in first if first[name] != second[name]} == {"traces", "sft", "measured"}


def test_a_key_follows_every_file_that_a_value_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = [
        "bench.jsonl",
        "prompt.txt",
        "ask.txt",
        "chat.jinja",
        "a/1.jsonl",
        "b.jsonl",
        "many/x.jsonl",
        "tests/t.json",
    ]
    for name in files:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("before")
    for name in ("tiny/x", "store/1.jsonl"):
        Path(name).parent.mkdir()
        Path(name).write_text("before")
    cfg = OmegaConf.create(
        {
            "benchmark": {"own": {"path": "bench.jsonl", "prompt": "prompt.txt"}},
            "task": {"template": "ask.txt", "against": [{"path": "b.jsonl"}], "store": "./store"},
            "model": {"name": "tiny", "chat_template": "chat.jinja"},
            "dataset": {"datasets": [{"path": "a"}], "path": "many/*.jsonl"},
            "reward": {"own": {"tests": "./tests", "text": "x" * 5000, "between": "/", "odd": "\0", "none": None}},
        }
    )
    first = key_of(cfg, {})
    assert first == key_of(cfg, {})
    for name in files:
        Path(name).write_text("after")
        assert key_of(cfg, {}) != first, name
        Path(name).write_text("before")
    Path("many/y.jsonl").write_text("one more")
    assert key_of(cfg, {}) != first
    Path("many/y.jsonl").unlink()
    Path("tiny/x").write_text("a folder that is called as the model is")
    Path("store/1.jsonl").write_text("a store that the stage adds to itself")
    assert key_of(cfg, {}) == first


def test_a_killed_stage_with_a_store_goes_on(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"status": "running"}')
    assert intent_of(tmp_path) == ("run", "interrupted before")
    RunFolder(tmp_path).store.mkdir()
    assert intent_of(tmp_path) == ("run", "interrupted before")
    (RunFolder(tmp_path).store / "a.jsonl").write_text("{}\n")
    assert intent_of(tmp_path) == ("go on", "goes on with the completions that it has")


def test_a_stage_that_ends_while_the_pipeline_is_planned_is_not_run_again(r1lab: CommandLine, path: str) -> None:
    found = planned(r1lab, path)
    traces, sft, _ = found.stages
    for item in (traces, sft):
        item.folder.mkdir(parents=True)
        (item.folder / "manifest.json").write_text('{"status": "running"}')
    again = planned(r1lab, path)
    assert [item.why for item in again.stages] == ["interrupted before", "interrupted before", "to be run"]
    for item in (traces, sft):
        (item.folder / "manifest.json").write_text('{"status": "finished"}')
        (item.folder / "metrics.json").write_text("{}")
    traces.output("dataset").mkdir(parents=True)
    (traces.output("dataset") / "data.parquet").touch()
    again.look_again(again.stages)
    assert [item.does for item in again.stages] == [
        "skip",
        "run",
        "run",
    ]  # the model that sft should leave is not there


def test_an_evaluation_hands_on_every_completion(r1lab: CommandLine, path: str) -> None:
    held_out = planned(r1lab, path).stages[2]
    assert held_out.output("completions") == held_out.folder / "completions/eval.jsonl"
    measured = planned(r1lab, path, "task.stages.measured.choose.benchmark=[arithmetic]").stages[2]
    assert measured.output("completions") == measured.folder / "evaluation"


def test_every_fault_of_every_stage_is_found_at_once(r1lab: CommandLine, path: str) -> None:
    found = r1lab.all(
        path,
        "task.stages.traces.task.n=many",
        "task.stages.sft.trainer.max_stps=4",
        'task.stages.measured.model.path="${stage.traces.model}"',
        "task.stages.other.trainer.max_steps=3",
        "task.until=mesured",
    )
    assert [item["what"] for item in found] == [
        "stage other chooses no task",
        "task.until=mesured is no stage",
        "task.n takes a whole number, not 'many'",
        "trainer.max_stps is not a field of trl.SFTConfig",
        "${stage.traces.model}: task=generate leaves no model",
    ]
    assert found[1]["nearest"] == "task.until=measured"
    assert found[2]["where"] == 'stage traces, task.n="many" (override task.stages.traces.task.n=many)'
    assert found[3]["nearest"] == "trainer.max_steps"
    assert found[4]["fix"] == "one of: completions, dataset, folder, metrics, store"


@pytest.mark.parametrize(
    ("value", "what", "nearest"),
    [
        ("${stage.sfx.model}", "${stage.sfx.model}: there is no stage sfx", "${stage.sft.model}"),
        ("${stage.sft}", "${stage.sft} names no output of a stage", None),
        ("${stage.sft.modl}", "${stage.sft.modl}: task=sft leaves no modl", "${stage.sft.model}"),
    ],
)
def test_what_a_stage_takes_has_to_be_there(
    r1lab: CommandLine, path: str, value: str, what: str, nearest: str | None
) -> None:
    found = r1lab.one(path, f'task.stages.measured.model.path="{value}"')
    assert found["what"] == what
    assert found.get("nearest") == nearest
    assert found["where"].startswith("stage measured, ")


def test_a_circle_is_named(r1lab: CommandLine, path: str) -> None:
    found = r1lab.one(path, 'task.stages.traces.model.path="${stage.sft.model}"')
    assert found["what"] in (
        "the stages need each other in a circle: traces → sft → traces",
        "the stages need each other in a circle: sft → traces → sft",
    )


def test_a_column_that_a_stage_will_not_leave_is_found_before_the_first(r1lab: CommandLine, path: str) -> None:
    found = r1lab.one(path, "task.stages.sft.dataset.messages=mesages")
    assert "/outputs/path/traces-" in found["what"] and "has no such column" in found["what"]
    assert found["nearest"] == "dataset.messages=messages"
    assert "r1lab-" not in found["what"]  # no word of the stand-in


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["task=pipeline"], "task=pipeline names no stage"),
        (["experiment=path", "task.stages.sft.choose.task=pipeline"], "task.stages.sft is a pipeline itself"),
        (["experiment=path", "task.stages.sft.resume=x"], "task.stages.sft.resume is not for a stage to say"),
        (
            ["experiment=path", "task.stages.sft.model=tiny"],
            "task.stages.sft.model=tiny chooses an option beside `choose`",
        ),
        (["experiment=path", "task.stages.measured=3"], "task.stages.measured is no stage: it holds 3"),
        (["experiment=path", "task.stages.new.choose.task=doctor"], "task=doctor leaves no folder to go on from"),
        (
            ["experiment=path", "task.from=sft", "task.until=traces"],
            "nothing lies between task.from=sft and task.until=traces",
        ),
        (["experiment=path", "task.from=sft"], "stage traces is before task.from=sft, and has not finished with these"),
    ],
)
def test_what_no_pipeline_can_be(r1lab: CommandLine, path: str, words: list[str], what: str) -> None:
    found = r1lab.all(*words)
    assert any(item["what"].startswith(what) for item in found), found


def finished(pipeline: Pipeline) -> None:
    """As if every stage had run and left what it leaves."""
    for item in pipeline.stages:
        RunFolder(item.folder).write_json("manifest.json", {"status": "finished"})
        RunFolder(item.folder).write_json("metrics.json", {})
        for name in ("model/config.json", "dataset/sft/rows.jsonl"):
            (item.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (item.folder / name).write_text("{}")


@pytest.mark.parametrize(
    ("taken", "gone"),
    [
        ("model", "model/config.json"),  # the folder is left, and nothing in it
        ("folder/model", "model/config.json"),
    ],
)
def test_what_is_taken_is_made_again_where_its_content_is_gone(
    r1lab: CommandLine, path: str, taken: str, gone: str
) -> None:
    finished(planned(r1lab, path))
    words = [f'task.stages.measured.model.path="${{stage.sft.{taken}}}"', "task.stages.measured.task.n=9"]
    assert [item.does for item in planned(r1lab, path, *words).stages] == ["skip", "skip", "run"]
    (planned(r1lab, path).stages[1].folder / gone).unlink()
    _, sft, _ = planned(r1lab, path, *words).stages
    assert (sft.does, sft.why) == ("run", f"its {taken} is gone, and measured takes it")


def test_a_broken_file_of_a_stage_is_named(r1lab: CommandLine, path: str) -> None:
    finished(planned(r1lab, path))
    (planned(r1lab, path).stages[0].folder / "manifest.json").write_text("{")
    with pytest.raises(ResumeError, match=r"traces-\w+/manifest\.json cannot be read"):
        planned(r1lab, path)


def test_the_order_is_the_files_where_the_graph_allows_it() -> None:
    words = {"z": (), "y": (("z", "model"),), "a": (), "x": (("y", "model"), ("a", "model"))}
    stages: dict[str, Any] = {
        name: {"choose": {"task": "sft"}, **{f"k{i}": f"${{stage.{n}.{o}}}" for i, (n, o) in enumerate(takes)}}
        for name, takes in reversed(words.items())
    }
    task = OmegaConf.create({"stages": {}, "each": {}, "from": None, "until": None})
    with session():
        from r1lab.config.literal import literal

        task.stages = literal(stages)
        graph = graph_of(task, str)
    assert [stage.name for stage in graph.stages] == ["a", "z", "y", "x"]
    assert graph.before("x") == {"a", "z", "y"} and graph.after("z") == {"y", "x"} and graph.after("x") == set()
    assert graph.stages[-1] == Stage("x", graph.stages[-1].words, (("y", "model"), ("a", "model")))
