"""A user's own task that writes a stream without training, and runs of it as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SMALL

TASK = '''
"""A stream of metrics as a training writes it, and the ways it may end."""
import os, signal, time
from r1lab.errors import RunError
from r1lab.trainers.stream import Stream

def run(cfg, folder):
    last = cfg.trainer.max_steps
    begin = int(os.environ.get("FROM_STEP", "0"))
    folder.rewind(begin)
    stream = Stream(folder, time.time())
    for step in range(begin, last + 1):
        if step > begin or begin == 0:
            if step:
                stream.write(step, {"loss": 1.0 / step, "rewards/accuracy": step / 10, "nothing": None, "word": "x"})
            if step % 2 == 0:
                stream.write(step, {"eval/accuracy": step / 100, "eval/pass@1": 0.5})
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
    if os.environ.get("HOW") == "fails":
        raise RunError("the loss is gone")
    if os.environ.get("HOW") == "killed":
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return {"eval/accuracy": 0.25, "eval/accuracy_before": 0.125, "objective": "eval/accuracy", "steps": last}
'''
SECRET = "a-very-secret-value-0123456789"
WORDS = (
    "plugins=[mytasks]",
    "task=sft",
    "task._target_=mytasks.run",
    "trainer.max_steps=6",
    f"model.revision={SECRET}",  # it must not leave the machine
    "hydra.run.dir=outputs/sums/one",
)
Run = Callable[..., "subprocess.CompletedProcess[str]"]
FOLDER = Path("outputs/sums/one")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the task in a folder of its own. What the environment holds under a telling name is in the config too."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mytasks.py").write_text(TASK)

    def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        full = [sys.executable, "-m", "r1lab", *(SMALL if "resume" not in words[0] else ()), *words]
        env = {**os.environ, **environment}
        return subprocess.run(full, capture_output=True, text=True, timeout=150, check=False, env=env)

    return command


def expected(last: int = 6) -> dict[str, list[tuple[int, float]]]:
    """What a tracker must hold of the stream: by name, (step, value) in order."""
    steps, evals = range(1, last + 1), range(0, last + 1, 2)
    return {
        "loss": [(step, 1.0 / step) for step in steps],
        "rewards/accuracy": [(step, step / 10) for step in steps],
        "eval/accuracy": [(step, step / 100) for step in evals],
        "eval/pass@1": [(step, 0.5) for step in evals],
    }
