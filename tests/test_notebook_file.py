"""The notebooks under experiments/ run as they stand, from an empty folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.whole

NOTEBOOKS = Path(__file__).parent.parent / "experiments"


def executed(name: str, folder: Path) -> tuple[str, list[dict]]:
    """Run a notebook in a folder: the text that it leaves, and all that it leaves."""
    shutil.copy(NOTEBOOKS / name, folder)
    notebook = nbformat.read(folder / name, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
    return text, outputs


def test_first_steps_runs_and_learns(tmp_path: Path) -> None:
    text, outputs = executed("first_steps.ipynb", tmp_path)
    assert "nearest  trainer.learning_rate" in text
    assert len(list((tmp_path / "outputs" / "grpo-tiny").glob("*/report.html"))) == 3
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_reward_design_shows_what_flips(tmp_path: Path) -> None:
    text, _ = executed("reward_design.ipynb", tmp_path)
    table = {(a, b): int(count) for a, b, count in re.findall(r"^ +([01])  +([01])  +(\d+)$", text, re.M)}
    assert sum(table.values()) == 240 and len(table) == 4
    assert table["1", "1"] > 0 and table["0", "0"] > 120  # the base drops most carries
    flipped = table["1", "0"] + table["0", "1"]
    assert f"{flipped} of 240 completions flip" in text


def test_a_learning_rate_sweep_has_nothing_to_do_the_second_time(tmp_path: Path) -> None:
    text, outputs = executed("learning_rate_sweep.ipynb", tmp_path)
    assert text.count("is done") == 3 and "goes on with the sweep" in text
    assert "'metric': 'eval/accuracy'" in text and text.count("finished") == 6
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_two_evaluations_are_compared_problem_by_problem(tmp_path: Path) -> None:
    text, _ = executed("comparing_evaluations.ipynb", tmp_path)
    better, worse, alike = map(int, re.search(r"(\d+) problems went better, (\d+) worse, (\d+) alike", text).groups())
    assert better + worse + alike == 100
    assert re.search(r"95 % interval [+-]\d+\.\d% to [+-]\d+\.\d%\): (a difference|no difference shown)", text)
    mean = float(re.search(r"([+-]\d+\.\d)% \(95 %", text)[1])  # by the notebook's own arithmetic
    assert f"{mean:+.1f} points" in text and "100 problems" in text  # and by r1lab's
