"""What is found wrong with `hub` and `tracker` before a run, without a network and without importing a tracker."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import CommandLine

TOKEN = "hf_" + "a" * 34


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where nobody is logged in."""
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "WANDB_API_KEY",
        "WANDB_MODE",
        "HF_HUB_OFFLINE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the planner find these tracker packages and no others."""
    find = importlib.util.find_spec
    trackers = ("wandb", "mlflow", "tensorboard", "trackio")

    def only(*names: str) -> None:
        def found(name: str, package: str | None = None) -> Any:
            return (object() if name in names else None) if name in trackers else find(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", found)

    return only


def test_a_push_needs_a_token(r1lab: CommandLine) -> None:
    finding = r1lab.one("hub=push")
    assert finding["what"] == "hub=push needs a Hugging Face token"
    assert finding["fix"] == "export HF_TOKEN=…, or in .env, or hf auth login"


@pytest.mark.parametrize("how", ["environment", ".env", "login"])
def test_three_ways_to_be_logged_in(
    r1lab: CommandLine, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    else:
        write(*((".env", f"HF_TOKEN={TOKEN}\n") if how == ".env" else ("hf/token", TOKEN + "\n")))
    cfg = r1lab.accepts("hub=push")
    assert (cfg.hub.private, cfg.hub.revision, cfg.hub.overwrite, cfg.hub.checkpoints) == (True, "main", False, False)
    assert TOKEN not in str(cfg)


def test_offline_is_said_and_refuses_nothing(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (finding,) = r1lab.plan("hub=push").findings
    assert finding.severity == "warning" and "HF_HUB_OFFLINE is set" in finding.what


@pytest.mark.parametrize(
    ("word", "what", "nearest"),
    [
        ("hub.repo='a b'", "hub.repo=a b is no name of a repository", "hub.repo=a-b"),
        ("hub.repo=x/y/z", "hub.repo=x/y/z is no name of a repository", None),
        ("hub.repo=tiny.git", "hub.repo=tiny.git is no name of a repository", "hub.repo=tiny"),
        ("hub.revision=../x", "hub.revision=../x is no name of a branch", None),
        ("hub.revision=a//b", "hub.revision=a//b is no name of a branch", None),
        ("hub.retries=-1", "hub.retries=-1 is below 0", "hub.retries=0"),
        ("hub.private=maybe", "hub.private takes true or false, not 'maybe'", None),
        ("hub.priavte=false", "hub.priavte is not a field of hub", "hub.private"),
        ("trainer.push_to_hub=true", "trainer.push_to_hub is set by r1lab", None),
    ],
)
def test_words_that_do_not_fit(
    r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch, word: str, what: str, nearest: str | None
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    finding = r1lab.one("hub=push", word)
    assert (finding["what"], finding.get("nearest")) == (what, nearest)


def test_keys_of_a_push_that_is_not_asked_for(r1lab: CommandLine) -> None:
    assert r1lab.one("hub.repo=mine")["fix"] == "add hub=push"


def test_a_task_without_a_model_pushes_none(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert r1lab.one("task=eval", "hub=push")["what"] == "task=eval trains nothing, so hub=push has no model to push"


def test_the_plan_says_where_it_goes(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    facts = r1lab.plan("hub=push", "hub.checkpoints=true", "hub.private=false").facts["run"]
    assert facts["hub"] == "(you)/tiny-grpo@main, public, checkpoints as main-step-…"
    assert r1lab.plan().facts["run"]["hub"] == "nothing is pushed"


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboard", "trackio"])
def test_a_package_that_is_missing(r1lab: CommandLine, installed: Callable[..., None], name: str) -> None:
    installed()
    mode = ["tracker.wandb.mode=offline"] if name == "wandb" else []
    finding = r1lab.one(f"tracker={name}", *mode)
    assert finding["what"] == f"tracker {name} needs the package {name}, which is not installed"
    assert finding["fix"] == f'pip install "r1lab[{name}]"'
    (warning,) = r1lab.plan(f"tracker={name}", *mode, "dry_run=true").findings
    assert warning.severity == "warning"


def test_wandb_needs_a_key_where_it_is_online(
    r1lab: CommandLine, installed: Callable[..., None], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("wandb")
    finding = r1lab.one("tracker=wandb")
    assert "WANDB_API_KEY is not set" in finding["what"] and finding["nearest"] == "tracker.wandb.mode=offline"
    r1lab.accepts("tracker=wandb", "tracker.wandb.mode=offline")
    monkeypatch.setenv("WANDB_MODE", "offline")
    r1lab.accepts("tracker=wandb")
    monkeypatch.delenv("WANDB_MODE")
    write("netrc", "machine api.wandb.ai login user password secret\n")
    r1lab.accepts("tracker=wandb")
    write("netrc", "machine elsewhere.org login user password secret\n")
    assert r1lab.one("tracker=wandb", "tracker.wandb.mode=ofline")["nearest"] == "tracker.wandb.mode=offline"
    write(".env", "WANDB_API_KEY=secret-of-mine\n")
    assert "secret-of-mine" not in str(r1lab.accepts("tracker=wandb"))


def test_trackers_are_a_list(r1lab: CommandLine, installed: Callable[..., None]) -> None:
    installed("mlflow", "tensorboard")
    cfg = r1lab.accepts("tracker=[mlflow,tensorboard]", "tracker.mlflow.experiment=sums")
    assert list(cfg.tracker) == ["mlflow", "tensorboard"] and cfg.tracker.mlflow.experiment == "sums"
    assert list(r1lab.accepts().tracker) == []
    assert r1lab.one("tracker=[mlfow]")["nearest"] == "tracker=[mlflow]"
    assert r1lab.one("tracker.mlflow.uri=x")["what"] == "tracker.mlflow.uri: tracker 'mlflow' is not chosen"
    assert r1lab.one("tracker=mlflow", "tracker.mlflow.url=x")["nearest"] == "tracker.mlflow.uri"


def test_settings_of_a_tracker_that_is_not_chosen_are_left_out(r1lab: CommandLine, write: Callable[..., Path]) -> None:
    write("conf/experiment/mine.yaml", "# @package _global_\ntracker:\n  wandb:\n    project: sums\n")
    planned = r1lab.plan("experiment=mine", config_dir=Path("conf"))
    assert list(planned.cfg.tracker) == [] and planned.errors == []
    assert [item.what for item in planned.findings] == ["tracker.wandb is left out: that tracker is not chosen"]


def test_a_login_is_of_the_machine_that_runs(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only this machine lacks is a warning in a dry run, which may be for another one."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(Path.cwd()))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert "hub=push needs a Hugging Face token" in r1lab.refused("hub=push")
    plan = r1lab.plan("hub=push", "dry_run=true")
    assert plan.errors == [] and "hub=push needs a Hugging Face token" in [finding.what for finding in plan.findings]
