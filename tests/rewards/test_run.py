"""A run whose reward's machinery fails ends with exit code 1 and says why; it does not learn from zeros."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1lab.notebook import compose, run

pytestmark = pytest.mark.whole

REWARD = """\
from r1lab.rewards import Failure

def down(completions, *, share: float = 1.0):
    return [Failure("the judge refused the connection") if i < share * len(completions) else 1.0
            for i in range(len(completions))]
"""
CONF = "down:\n  _target_: down_reward.down\n  weight: 1.0\n  max_failures: 0.5\n"
WORDS = (
    "plugins=[down_reward]",
    "reward=[down,coin_flip]",
    "trainer.max_steps=1",
    "trainer.per_device_train_batch_size=8",
    "trainer.num_generations=8",
    "trainer.steps_per_generation=1",
    "objective=eval/coin_flip",
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a reward of one's own, whose machinery fails."""
    (tmp_path / "down_reward.py").write_text(REWARD)
    (tmp_path / "conf/reward").mkdir(parents=True)
    (tmp_path / "conf/reward/down.yaml").write_text(CONF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def test_too_many_failures_end_a_training(small: tuple[str, ...], tmp_path: Path) -> None:
    words = ("--config-dir", "conf", *small, *WORDS, "hydra.run.dir=run", "eval.problems=0")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])}
    command = [sys.executable, "-m", "r1lab", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1, done.stderr
    assert "reward down: 100% of 8 completions could not be judged" in done.stderr
    assert "(8×): the judge refused the connection" in done.stderr and "Traceback" not in done.stderr
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["status"] == "failed" and "resume=FOLDER" in json.dumps(manifest)


def test_a_few_failures_are_counted_apart(small: tuple[str, ...], tmp_path: Path) -> None:
    cfg = compose(*small, *WORDS, "+reward.down.share=0.5", "eval.problems=4", "debug=true", config_dir=Path("conf"))
    run(cfg, tmp_path / "run")
    folder = tmp_path / "run"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (step,) = [line for line in lines if "loss" in line]
    assert step["infrastructure_failures/down"] == 0.5 and step["skipped/down"] == 0.0
    assert step["rewards/down"] == 1.0
    assert lines[0]["eval/infrastructure_failures/down"] == 0.5 and "eval/skipped/down" not in lines[0]
    kept = [json.loads(line) for line in (folder / "completions/train.jsonl").read_text().splitlines()]
    assert [record["rewards"]["down"] for record in kept] == [None] * 4 + [1.0] * 4
    assert "infrastructure failures" in (folder / "report.html").read_text()
