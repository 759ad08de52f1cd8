"""The manifest of a run, from its start over a resumption to its end."""

from __future__ import annotations

import datetime
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from omegaconf import OmegaConf

from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder

CFG = OmegaConf.create({"seed": 7})


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "my run")
    manifest.start(folder, CFG)
    begun = folder.read_json("manifest.json")
    assert (begun["status"], begun["ended"], begun["exit"], begun["seed"]) == ("running", None, None, 7)
    assert shlex.split(begun["command"])[-3:] == ["-m", "r1lab.launch.worker", str(folder.path / "run.yaml")]
    assert begun["python"] == ".".join(map(str, sys.version_info[:3]))
    assert begun["hardware"]["cores"] >= 1
    assert datetime.datetime.fromisoformat(begun["started"]).tzinfo is not None
    manifest.add(folder, dataset={"rows": 3})
    manifest.end(folder, "failed", 1, "memory ran out")
    ended = folder.read_json("manifest.json")
    assert (ended["status"], ended["exit"], ended["cause"]) == ("failed", 1, "memory ran out")
    assert ended["dataset"] == {"rows": 3}
    assert ended["ended"] >= ended["started"]


def test_a_resumption_keeps_the_start(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    manifest.start(folder, CFG)
    started = folder.read_json("manifest.json")["started"]
    manifest.end(folder, "interrupted", 130, "interrupted")
    manifest.start(folder, CFG)
    manifest.start(folder, CFG)
    again = folder.read_json("manifest.json")
    assert (again["status"], again["ended"], again["exit"], again["cause"]) == ("running", None, None, None)
    assert again["started"] == started
    assert len(again["resumed"]) == 2


def test_versions_are_those_installed() -> None:
    found = manifest.versions()
    assert found["trl"] == version("trl")
    assert set(found) == set(manifest.PACKAGES)


def test_a_package_that_is_not_there(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(manifest, "PACKAGES", ("no-such-package",))
    assert manifest.versions() == {"no-such-package": "not installed"}


def test_the_state_of_a_checkout(tmp_path: Path) -> None:
    assert manifest.git_state(tmp_path) is None
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    clean = manifest.git_state(tmp_path)
    assert clean is not None
    assert (len(clean["commit"]), clean["dirty"]) == (40, False)
    (tmp_path / "new.py").write_text("")
    assert manifest.git_state(tmp_path) == {"commit": clean["commit"], "dirty": True}
