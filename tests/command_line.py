"""The command line in this process: what a command prints, its exit code, and which runs it would have started."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from r1lab import hardware, main
from r1lab.config.compose import session
from r1lab.plan.checks import Plan
from r1lab.plan.request import plan_request
from r1lab.runs.folder import RunFolder

ROOM = shutil._ntuple_diskusage(10**14, 0, 10**14)  # type: ignore[attr-defined]


@dataclass
class Said:
    """What one command left behind.

    Attributes:
        code: its exit code.
        out: its standard output.
        err: its standard error.
        started: the folders of the runs that it started, with their configs.
    """

    code: int
    out: str
    err: str
    started: dict[Path, DictConfig]


@dataclass
class CommandLine:
    """Calls `r1lab.main.main` as a shell would. Runs are not started: their folder gets a `run.yaml` and `metrics`."""

    capsys: pytest.CaptureFixture[str]
    metrics: dict[str, Any] = field(default_factory=lambda: {"eval/accuracy": 0.5, "eval/accuracy_before": 0.25})
    started: dict[Path, DictConfig] = field(default_factory=dict)
    typed: list[str | None] = field(default_factory=list)  # the command that each run's manifest will tell

    def __call__(self, *words: str) -> Said:
        self.started, self.typed = {}, []
        sys.argv = ["r1lab", *words]
        self.capsys.readouterr()
        code: Any = 0
        try:
            main.main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            for logger in logging.Logger.manager.loggerDict.values():  # Hydra's logging config switches them off
                if isinstance(logger, logging.Logger):
                    logger.disabled = False
        captured = self.capsys.readouterr()
        assert isinstance(code, int)
        return Said(code, captured.out, captured.err, self.started)

    def launch(self, cfg: DictConfig, run_dir: Path, typed: str | None = None) -> dict[str, Any]:
        """Stand in for `launch.local.launch`."""
        self.started[run_dir] = cfg
        self.typed.append(typed)
        folder = RunFolder(run_dir)
        folder.write_config(cfg)
        folder.write_json("metrics.json", self.metrics)
        return self.metrics

    def refused(self, *words: str) -> str:
        """What a command says that is refused: exit code 2, findings alone, nothing started, nothing left behind."""
        before = tree(Path.cwd())
        said = self(*words)
        assert said.code == 2, said
        assert said.out == ""
        assert "Traceback" not in said.err
        assert "nothing was started" in said.err
        assert said.started == {}
        assert tree(Path.cwd()) == before
        return said.err

    def one(self, *words: str) -> dict[str, str]:
        """The only finding of a command that is refused: its rows by label, the sentence under "what"."""
        text = self.refused(*words)
        assert text.startswith("r1lab: 1 problem; nothing was started\n\n1  "), text
        return rows_of(text.partition("\n\n1  ")[2])

    def all(self, *words: str) -> list[dict[str, str]]:
        """Every finding of a command that is refused."""
        text = self.refused(*words)
        blocks = text.split("\n\n")[1:]
        assert text.startswith(f"r1lab: {len(blocks)} problem"), text
        return [rows_of(block.partition("  ")[2]) for block in blocks]

    def plan(self, *words: str, config_dir: Path | None = None) -> Plan:
        """The plan of a command for one run, without the command line around it."""
        with session(config_dir):
            (plan,) = plan_request(list(words)).plans
        return plan

    def accepts(self, *words: str, config_dir: Path | None = None) -> DictConfig:
        """The config of the one run that a command would start, against which nothing speaks."""
        plan = self.plan(*words, config_dir=config_dir)
        assert plan.errors == []
        return plan.cfg


def tree(folder: Path) -> list[str]:
    """Everything below a folder."""
    return sorted(str(path) for path in folder.rglob("*"))


def rows_of(finding: str) -> dict[str, str]:
    """The rows of a finding's text by label."""
    what: list[str] = []
    rows: dict[str, str] = {}
    for line in finding.rstrip().splitlines():
        label, _, value = line.strip().partition(" ")
        if line.startswith("    ") and label in ("where", "nearest", "fix"):
            rows[label] = value.strip()
        else:
            what.append(line)
    return {"what": "\n".join(what), **rows}


@pytest.fixture
def r1lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    """The command line in an empty folder, on a machine with a roomy disk, 64 TiB of memory and no GPU."""
    command_line = CommandLine(capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["r1lab"])
    monkeypatch.setattr(main, "launch", command_line.launch)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: ROOM)
    monkeypatch.setattr(hardware, "usable_memory_gb", lambda: 65536.0)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("COLUMNS", "200")
    yield command_line
    main.failed_runs.clear()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file below the folder where the command runs."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
