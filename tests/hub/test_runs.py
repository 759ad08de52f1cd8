"""Whole runs that push, as processes: `python -m r1lab … hub=push` against the stand-in; `task=push` in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants
from safetensors.torch import load

from tests.command_line import CommandLine, r1lab  # noqa: F401
from tests.conftest import SMALL
from tests.hub.conftest import Run
from tests.hub.stand_in import READER, WRITER, StandIn

pytestmark = [
    pytest.mark.whole,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # the client's own, of httpx
]
STEPS = (
    "task=sft",
    "reward=[accuracy]",
    "trainer.max_steps=4",
    "trainer.per_device_train_batch_size=4",
    "trainer.save_steps=2",
    "trainer.save_total_limit=1",
    "eval.every=0",
    "hub=push",
)
PATHS = ("/tmp/", "/root", "/home/")
TASK = '''
"""What a training leaves behind, without the training."""
from r1lab.hub.pending import expect_checkpoint
from r1lab.runs.folder import RunFolder

def run(cfg, folder):
    last = cfg.trainer.max_steps
    for step in range(2, last + 1, 2):
        checkpoint = folder.checkpoints / f"checkpoint-{step}"
        write(checkpoint, step)
        (checkpoint / "optimizer.pt").write_bytes(b"moments")
        (checkpoint / "COMPLETE").touch()
        if cfg.hub.checkpoints:
            expect_checkpoint(folder, cfg.hub, checkpoint, step)
    write(folder.model, last)
    folder.append("metrics.jsonl", [{"step": last, "loss": 0.5}])
    return {"eval/accuracy": 0.25, "objective": "eval/accuracy"}

def write(folder, step):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights of step %d" % step)
'''


@pytest.fixture
def run(command: Run, tmp_path: Path) -> Run:
    """Runs `python -m r1lab` with a small model in a folder of its own; its run's folder is `run`."""

    def train(*words: str) -> subprocess.CompletedProcess[str]:
        return command(*SMALL, *STEPS, "hydra.run.dir=run", *words)

    def fake(*words: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "mytasks.py").write_text(TASK)
        return train("plugins=[mytasks]", "task._target_=mytasks.run", *words)

    command.train, command.fake = train, fake  # type: ignore[attr-defined]
    return command


@pytest.fixture
def push(r1lab: CommandLine) -> CommandLine:  # noqa: F811
    """The command line in this process, for what pushes a run that has ended."""
    return r1lab


def state() -> dict[str, object]:
    return dict(json.loads(Path("run/manifest.json").read_text()))


def test_the_model_and_every_checkpoint(run: Run, hub: StandIn, small: tuple[str, ...]) -> None:
    result = run.train("hub.checkpoints=true")  # type: ignore[attr-defined]
    assert result.returncode == 0, result.stderr
    assert f"pushed to {hub.url}/ada/tiny-sft\n" in result.stderr
    assert "pushed 2 checkpoints" in result.stderr
    repo = hub.repo("ada/tiny-sft")
    assert repo.private
    assert sorted(repo.branches) == ["main", "main-step-000000002", "main-step-000000004"]
    final = repo.files()
    model = {path.name: path.read_bytes() for path in Path("run/model").iterdir()}
    assert final["model.safetensors"] == model["model.safetensors"]
    assert set(final) == (set(model) - {"training_args.bin"}) | {"run.yaml", "metrics.json"}
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert json.loads(final["metrics.json"])["eval/accuracy"] == metrics["eval/accuracy"]
    assert yaml.safe_load(final["run.yaml"])["trainer"]["max_steps"] == 4
    for name, content in final.items():
        if name != "model.safetensors":
            assert not [path for path in (*PATHS, WRITER) if path.encode() in content], name
    last = repo.files("main-step-000000004")
    assert last["model.safetensors"] == Path("run/checkpoints/checkpoint-4/model.safetensors").read_bytes()
    first, second = (load(repo.files(f"main-step-00000000{step}")["model.safetensors"]) for step in (2, 4))
    assert any((first[name] != second[name]).any() for name in first)  # step 2's own, though it was removed meanwhile
    assert not Path("run/checkpoints/checkpoint-2").exists()
    assert "tokenizer.json" in last and not [
        name for name in last if name.endswith((".pt", ".pth", "training_args.bin"))
    ]
    assert list(Path("run/hub").iterdir()) == []


def test_a_hub_that_is_gone_costs_the_push_alone_and_one_command_makes_up_for_it(
    run: Run, push: CommandLine, hub: StandIn
) -> None:
    hub.fail("POST", "/commit/", 503, times=1000)
    result = run.fake("hub.checkpoints=true", "hub.retries=0")  # type: ignore[attr-defined]
    assert result.returncode == 0, result.stderr
    assert state()["status"] == "finished"
    told = [line.strip() for line in result.stderr.splitlines()]
    assert "r1lab: not on the Hub yet: main-step-000000002, main-step-000000004, main" in told
    assert "later    python -m r1lab task=push task.run=run" in told
    assert hub.repo("ada/tiny-sft").files() == {}
    failed = push("task=push", "task.run=run")
    assert failed.code == 1
    assert "503" in failed.err and "Traceback" not in failed.err
    hub.faults.clear()
    again = run("task=push", "task.run=run")  # as it is typed, in a process
    assert again.returncode == 0, again.stderr
    repo = hub.repo("ada/tiny-sft")
    assert sorted(repo.branches) == ["main", "main-step-000000002", "main-step-000000004"]
    assert repo.files()["model.safetensors"] == Path("run/model/model.safetensors").read_bytes()
    assert "run: everything is pushed" in push("task=push", "task.run=run").out


def test_no_hub_at_all(run: Run, push: CommandLine, hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    result = run.fake("hub.retries=0")  # type: ignore[attr-defined]
    assert result.returncode == 0, result.stderr
    assert "the Hub cannot be asked now" in result.stderr and "the run goes on" in result.stderr
    assert "later    python -m r1lab task=push task.run=run" in result.stderr
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert push("task=push", "task.run=run").code == 0
    assert "model.safetensors" in hub.repo("ada/tiny-sft").files()


def test_offline_is_respected(run: Run, push: CommandLine, hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = run.fake("hub.checkpoints=true")  # type: ignore[attr-defined]
    assert result.returncode == 0, result.stderr
    assert hub.requests == []
    assert "HF_HUB_OFFLINE is set" in result.stdout
    assert "task=push task.run=run" in result.stderr
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused = push("task=push", "task.run=run")
    assert refused.code == 1 and "HF_HUB_OFFLINE is set" in refused.err
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert push("task=push", "task.run=run").code == 0
    assert len(hub.repo("ada/tiny-sft").branches) == 3


def test_what_cannot_be_pushed_is_refused_before_anything_is_computed(
    run: Run, hub: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real training that may not push; what its processes imported stands in their standard error."""
    monkeypatch.setenv("HF_TOKEN", READER)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    result = run.train()  # type: ignore[attr-defined]
    assert result.returncode == 2
    assert "the token of ada may only read" in result.stderr and READER not in result.stderr + result.stdout
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert {"r1lab.main", "r1lab.hub.before"} <= loaded  # of the launcher, and of the run
    assert loaded.isdisjoint({"torch", "transformers", "trl", "datasets", "r1lab.tasks.sft"})
    assert not Path("run/metrics.jsonl").exists() and hub.repos == {}


def test_overwrite_and_a_resumed_run_replaces_its_own(run: Run, hub: StandIn) -> None:
    hub.make("ada/tiny-sft", old=b"model")
    assert run.fake("hub.overwrite=true").returncode == 0  # type: ignore[attr-defined]
    first = hub.repo("ada/tiny-sft").files()
    assert "old" not in first
    longer = run("resume=run", "trainer.max_steps=6", "hub.overwrite=false")
    assert longer.returncode == 0, longer.stderr
    second = hub.repo("ada/tiny-sft").files()
    assert second["model.safetensors"] == Path("run/model/model.safetensors").read_bytes() != first["model.safetensors"]


def test_a_run_that_was_not_meant_to_be_pushed(run: Run, push: CommandLine, hub: StandIn) -> None:
    assert run.fake("hub=none").returncode == 0  # type: ignore[attr-defined]
    assert hub.requests == []
    result = push("task=push", "task.run=run", "hub=push", "hub.repo=lab/sums", "hub.private=false")
    assert result.code == 0, result.err
    assert not hub.repo("lab/sums").private
    assert f"{hub.url}/lab/sums" in result.out
    assert push("task=push", "task.run=nowhere").code == 2


def test_a_pusher_does_not_outlive_a_run_that_is_killed(run: Run, hub: StandIn) -> None:
    hub.fail("POST", "/preupload/", "hang", times=100)
    Path("mytasks.py").write_text(TASK.replace("    write(folder.model, last)", "    import time; time.sleep(60)"))
    own = ["plugins=[mytasks]", "task._target_=mytasks.run"]
    words = [*SMALL, *STEPS, *own, "hub.checkpoints=true", "hydra.run.dir=run"]
    process = subprocess.Popen([sys.executable, "-m", "r1lab", *words], stdout=-3, stderr=-3)
    limit = time.monotonic() + 60
    while not hub.asked("POST", "/preupload/") and time.monotonic() < limit:
        time.sleep(0.1)
    pushers = beside("r1lab.hub.pusher")
    assert len(pushers) == 1
    process.kill()
    process.wait()
    while beside("r1lab.hub.pusher") and time.monotonic() < limit:
        time.sleep(0.1)
    assert beside("r1lab.hub.pusher") == []


def beside(module: str) -> list[int]:
    """The processes here that run a module for a run in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            here = entry.name.isdigit() and (entry / "cwd").resolve() == Path.cwd()
            if here and module in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def test_a_generated_dataset_arrives_with_its_card(run: Run, hub: StandIn, tmp_path: Path) -> None:
    from tests.engines.chat_server import ChatServer, completion

    server = ChatServer(lambda body, place: completion("<answer>2</answer>"))
    (tmp_path / "rows.jsonl").write_text('{"problem": "1 + 1?", "answer": "2"}\n{"problem": "1 + 2?", "answer": "3"}\n')
    words = ("task=generate", "accelerator=cpu", "engine=server", f"engine.urls=[{server.url}]", "dataset=local")
    keep = ("dataset.path=rows.jsonl", "reward=[accuracy]", "task.n=2", "task.keep.reward=accuracy")
    said = run(*words, *keep, "hub=push", "hub.repo=rows", "hydra.run.dir=run")
    server.close()
    assert said.returncode == 0, said.stderr
    repo = hub.repo("ada/rows", "dataset")
    names = set(repo.files())
    assert repo.private and "ada/rows" in said.stderr + said.stdout
    assert {"README.md", "run.yaml", "metrics.json"} <= names
    assert len([name for name in names if name.startswith("all/train-")]) == 1
    assert len([name for name in names if name.startswith("sft/train-")]) == 1
