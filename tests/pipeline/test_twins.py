"""The three pipelines in small, with fewer steps: each stage hands on what it made, and the last one beats the base."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drill.pipelines import run

FEWER = ("task.each.eval.problems=100", "task.each.eval.every=0")
SHORT = {
    "r1-zero-tiny": ("task.stages.rl.trainer.max_steps=80",),
    "r1-distill-tiny": (
        "task.stages.teacher.trainer.max_steps=80",
        "task.stages.traces.task.problems=600",
        "task.stages.student.trainer.max_steps=20",
    ),
    "r1-tiny": (
        "task.stages.cold.trainer.max_steps=20",
        "task.stages.rl.trainer.max_steps=40",
        "task.stages.traces.task.problems=400",
        "task.stages.sft.trainer.max_steps=20",
        "task.stages.rl2.trainer.max_steps=10",
    ),
}


@pytest.mark.whole
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SHORT)
def test_a_twin_in_short_gains_over_its_base(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R1LAB_CACHE")  # the base model of the main job, built once
    stages = run(name, tmp_path, *FEWER, *SHORT[name])["stages"]
    assert (tmp_path / name / "pipeline.html").is_file()
    assert stages["result"]["pass@1"] > stages["base"]["pass@1"] + 0.10
    assert "traces" not in stages or 0 < stages["traces"]["kept"] <= stages["traces"]["rows"]
