"""The command line as a whole: help, exit codes, how runs end, and the notebook's side of the same."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from r1lab import console, main, notebook
from r1lab.errors import ConfigError, DataError, Finding, ReportError, ResumeError, RewardError, RunError, StorageError
from tests.command_line import CommandLine, r1lab, rows_of, tree

__all__ = ["r1lab"]
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def shell(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "r1lab", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)


def test_help_tells_a_newcomer_what_there_is(r1lab: CommandLine) -> None:
    said = r1lab("--help")
    assert (said.code, said.started, said.err) == (0, {}, "")
    lines = said.out.strip().splitlines()
    assert lines[0] == "r1lab: experiments for training reasoning models, composed from small config files."
    assert len(lines) < 50
    assert max(map(len, lines)) <= 120
    for line in (
        "  task         cancel, compare, decontaminate, doctor, eval, filter, generate, grpo, ",
        "  reward       accuracy, ",
        "  accelerator  auto, cpu",
    ):
        assert any(item.startswith(line) for item in lines)
    assert "--cfg job" in said.out
    assert "docs/" in said.out
    assert "powered by Hydra" not in said.out


def test_every_example_of_the_help_plans(r1lab: CommandLine) -> None:
    Path("my.csv").write_text("problem,answer\n1,1\n")
    examples = [line.strip() for line in r1lab("--help").out.splitlines() if line.startswith("  python -m r1lab ")]
    assert len(examples) == 5
    for example in examples:
        words = [word for word in shlex.split(example.partition("  #")[0])[3:] if "=" in word or word == "-m"]
        if any("model.path" in word for word in words):
            Path("model").mkdir()
            Path("model/config.json").write_text("{}")
            words = [word if "model.path" not in word else "model.path=model" for word in words]
        asked = any(word.startswith("dry_run=") for word in words)
        said = r1lab(*words, *([] if asked else ["dry_run=true"]))
        assert (said.code, said.err) == (0, ""), example


def test_help_is_given_whatever_else_is_said(r1lab: CommandLine) -> None:
    assert r1lab("sed=abc", "-h") == r1lab("--help")
    assert "--multirun" in r1lab("--hydra-help").out


def test_the_version(r1lab: CommandLine) -> None:
    said = r1lab("--version")
    assert (said.code, said.out) == (0, "r1lab 0.1.0\n")


def test_the_composed_config_is_shown(r1lab: CommandLine) -> None:
    said = r1lab("--cfg", "job", "seed=7", "reward=[accuracy]")
    assert (said.code, said.started) == (0, {})
    assert "seed: 7\n" in said.out
    assert "format" not in said.out.partition("reward:")[2].partition("trainer:")[0].partition("engine:")[0]
    assert r1lab("--cfg", "job", "--package", "model", "model=qwen2.5-math-7b").out.startswith("# @package model\n")
    assert "hydra:\n" in r1lab("--cfg", "hydra").out
    assert r1lab.one("--cfg", "job", "sed=7")["nearest"] == "seed"


def test_the_search_path_is_shown(r1lab: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "my_conf").mkdir()
    result = shell("--info", "searchpath", "--config-dir", "my_conf", cwd=tmp_path)
    assert result.returncode == 0
    assert f"file://{tmp_path}/my_conf" in result.stdout
    assert "experiments://" in result.stdout


def test_nothing_is_left_behind_by_looking(r1lab: CommandLine) -> None:
    for words in (["--help"], ["--cfg", "job"], ["dry_run=true"], ["-m", "seed=1,2", "dry_run=json"]):
        assert r1lab(*words).code == 0
    assert tree(Path.cwd()) == []


def test_a_real_process_refuses_in_one_breath(tmp_path: Path) -> None:
    result = shell("trainer.lerning_rate=1", "model=tinny", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    blocks = result.stderr.split("\n\n")
    assert blocks[0] == "r1lab: 2 problems; nothing was started"
    assert rows_of(blocks[1].partition("  ")[2])["nearest"] == "model=tiny"
    assert rows_of(blocks[2].partition("  ")[2])["nearest"] == "trainer.learning_rate"
    assert tree(tmp_path) == []


def test_output_may_be_cut_off(tmp_path: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m r1lab dry_run=json | head -c 10; echo status ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stdout.endswith("status 0\n")
    assert "Traceback" not in result.stderr


def test_a_run_says_where_it_goes_and_how_it_ended(r1lab: CommandLine) -> None:
    r1lab.metrics = {"eval/accuracy": 0.9, "eval/accuracy_before": 0.45, "notes": ["It learnt [to] carry."]}
    said = r1lab("name=mine", "reward=[accuracy]")
    lines = said.out.splitlines()
    assert lines[0] == "r1lab  task=grpo  model=tiny  dataset=arithmetic  reward=[accuracy]"
    assert lines[1].strip() == str(next(iter(said.started)))
    assert lines[2:] == ["       It learnt [to] carry.", "done   eval/accuracy 0.900 (before: 0.450)"]
    assert said.code == 0
    assert r1lab.typed == ["python -m r1lab name=mine 'reward=[accuracy]'"]


class Failing:
    """A launcher that fails for one seed."""

    def __init__(self, command_line: CommandLine, error: BaseException, seed: int = 2):
        self.command_line, self.error, self.seed = command_line, error, seed

    def __call__(self, cfg: DictConfig, run_dir: Path, typed: str | None = None) -> dict[str, Any]:
        if cfg.seed == self.seed:
            raise self.error
        return self.command_line.launch(cfg, run_dir, typed)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError("the training process was killed by SIGKILL\n    log      x/run.log"), 1),
        (RewardError("reward brevity returned nan"), 1),
        (StorageError("the disk is full"), 1),
        (DataError("dataset mine has no row to train on"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_how_a_failed_run_ends(
    error: BaseException, code: int, r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "launch", Failing(r1lab, error))
    said = r1lab("seed=2")
    assert said.code == code
    assert "Traceback" not in said.err
    assert said.err == (f"r1lab: {error}\n" if str(error) else "")


def test_a_failed_run_does_not_end_a_sweep(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "launch", Failing(r1lab, RunError("memory ran out")))
    said = r1lab("-m", "seed=1,2,3")
    assert [cfg.seed for cfg in said.started.values()] == [1, 3]
    assert said.code == 1
    assert said.err == "r1lab: memory ran out\n"
    assert "sweep.html" in said.out
    monkeypatch.setattr(main, "launch", r1lab.launch)
    assert r1lab("seed=2").code == 0, "a failure is forgotten by the next command"


def test_a_bug_keeps_its_traceback(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "launch", Failing(r1lab, ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        r1lab("seed=2")


def test_a_task_without_a_folder_runs_in_place(r1lab: CommandLine) -> None:
    folder = next(iter(r1lab("seed=3").started))
    said = r1lab("task=report", f"task.run={folder}")
    assert (said.code, said.started) == (0, {})
    assert said.out.strip() == f"{folder}/report.html"
    assert (folder / "report.html").is_file()
    said = r1lab("task=report", "task.run=nowhere")
    assert (said.code, said.err) == (
        2,
        "r1lab: nowhere holds neither a run (run.yaml), a pipeline (pipeline.json) nor a sweep of runs\n",
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError([]), 2),
        (DataError(), 2),
        (ResumeError("x"), 2),
        (ReportError(), 2),
        (RunError(), 1),
        (RewardError(), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_exit_codes(error: Any, code: int) -> None:
    assert error.exit_code == code


def test_findings_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    first = Finding("x is wrong :b: [red]", "override x=1", "x=2", "type [x]")
    assert first.text() == ("x is wrong :b: [red]\n    where    override x=1\n    nearest  x=2\n    fix      type [x]")
    error = ConfigError([first, Finding("y is wrong")])
    assert str(error) == f"{first.text()}\ny is wrong"
    console.show_error(error)
    said = capsys.readouterr().err
    assert said == f"r1lab: 2 problems; nothing was started\n\n1  {first.text()}\n\n2  y is wrong\n"


def test_a_notebook_composes_as_the_command_line_does(r1lab: CommandLine) -> None:
    cfg = notebook.compose("task=sft", "trainer.max_steps=10")
    assert (cfg.task.name, cfg.trainer.max_steps, "hydra" in cfg) == ("sft", 10, False)
    with pytest.raises(ConfigError) as caught:
        notebook.compose("sed=3", "model=tinny")
    assert [finding.nearest for finding in caught.value.findings] == ["model=tiny", "seed"]
    with pytest.raises(ConfigError, match="there is no folder nowhere"):
        notebook.compose(config_dir="nowhere")


def test_a_notebook_runs_what_it_composed(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "launch", r1lab.launch)
    cfg = notebook.compose("reward=[accuracy]")
    cfg.trainer.learning_rate = 0.5
    metrics = notebook.run(cfg)
    folder = Path(metrics["folder"])
    assert folder.parent == Path("outputs/grpo-tiny")
    assert metrics["eval/accuracy"] == 0.5
    assert r1lab.started[folder].trainer.learning_rate == 0.5
    assert notebook.run(cfg, folder)["folder"] == str(folder)
    cfg.trainer.learning_rate = 0.25
    with pytest.raises(ConfigError, match=r"trainer.learning_rate: 0.5 there, 0.25 here"):
        notebook.run(cfg, folder)
    cfg.trainer.num_generations = 7
    with pytest.raises(ConfigError, match="does not divide"):
        notebook.run(cfg)


def test_the_config_of_a_notebook_is_not_changed_by_running(
    r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "launch", r1lab.launch)
    cfg = notebook.compose()
    before = cfg.copy()
    notebook.run(cfg)
    assert cfg == before


def test_the_plan_of_a_run_is_what_the_worker_reads(r1lab: CommandLine) -> None:
    said = r1lab("seed=9", "trainer.top_k=5")
    folder, cfg = next(iter(said.started.items()))
    assert json.loads(json.dumps(cfg.trainer.top_k)) == 5
    text = (folder / "run.yaml").read_text()
    assert "${" not in text
    assert "hydra" not in text
    assert cfg.dataset.seed == 9


def test_a_task_without_a_folder_goes_where_a_launcher_puts_it() -> None:
    serve = ["task=sandbox_server", "dry_run=true"]
    assert not main.in_place(main.check([*serve, "hydra/launcher=submitit_slurm"]))
    assert main.in_place(main.check(serve)) and main.in_place(main.check([*serve, "hydra/launcher=basic"]))
