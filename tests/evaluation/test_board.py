"""Results of many runs side by side: letters for their conditions, the page in a browser, the card's metadata."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import DataError
from r1lab.evaluation.board import columns, results_under
from r1lab.evaluation.result import keep, kept_records, result_of, sentences
from r1lab.hub.results import model_index
from r1lab.report.leaderboard import write_leaderboard
from tests.evaluation.building import SAMPLING, problem, record, sample

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
R1 = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"


def left(folder: Path, right: int, model: str = "me/mine", benchmark: str = "aime24", **made_by: Any) -> Path:
    """A run's folder with an evaluation: `right` of 4 problems."""
    problems = [
        problem(str(i), sample(float(i < right)), sample(float(i < right), text=f"other {i}")) for i in range(4)
    ]
    found = record(*problems, benchmark=benchmark, made_by={"model": {"repo": model}, **made_by})
    keep(folder, found, result_of(found, [2]))
    return folder


def test_usual_values_written_out_are_no_difference_in_words(tmp_path: Path) -> None:
    left(tmp_path / "a", 3, scorer={"_target_": "a.b"})
    left(tmp_path / "b", 2, scorer={"_target_": "a.b", "max_failures": 0.5, "weight": 1.0})
    (column,) = columns(results_under([tmp_path]))
    assert dict(column.conditions)["B"] == "as A, with usual values written out"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    left(tmp_path / "a", 3)
    left(tmp_path / "b", 1, R1)
    left(tmp_path / "sweep/0", 4, "other/model")
    left(tmp_path / "sweep/1", 2, "hot/model", sampling={**SAMPLING, "temperature": 1.0})
    left(tmp_path / "sweep/2", 2, "me/<script>alert(1)</script>", "math-500", evaluator="lighteval")
    return tmp_path


def test_unlike_results_have_another_letter_and_a_word_for_it(runs: Path) -> None:
    aime, math = columns(results_under([runs, runs / "sweep"]))
    assert (aime.benchmark, math.benchmark) == ("aime24", "math-500")
    ours = {entry.model: entry.conditions for entry in aime.entries if not entry.published}
    assert ours == {"me/mine": "A", R1: "A", "other/model": "A", "hot/model": "B"}
    told = dict(aime.conditions)
    assert told["B"] == "differs from A in sampling.temperature 0.6 ≠ 1.0"
    assert told["A"].startswith("evaluator native, temperature 0.6")
    theirs = [entry for entry in aime.entries if entry.published]
    assert {entry.model for entry in theirs} == {R1} and len(theirs) >= 4
    assert {entry.conditions for entry in theirs} == {"published"} and "published" in told
    assert [e.value for e in aime.entries] == sorted((e.value for e in aime.entries), reverse=True)


def test_nothing_to_show_and_broken_files_are_told(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(DataError, match="no evaluation lies at or below"):
        results_under([tmp_path / "nowhere"])
    (runs / "a/evaluation/aime24.json").write_text('{"benchmark": ')
    with pytest.raises(DataError, match=r"a/evaluation/aime24\.json is no result"):
        results_under([runs])
    (runs / "a/evaluation/aime24.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"aime24\.jsonl is no record"):
        kept_records(runs / "a")


def test_a_result_read_aloud_has_its_numbers_its_doubts_and_the_published_ones(tmp_path: Path) -> None:
    cut = record(
        problem("a", sample(0.0, None, finish="length")), problem("b", sample(1.0)), made_by={"model": {"repo": R1}}
    )
    head, *rest = sentences(result_of(cut))
    assert head.startswith("aime24, 2 problems × 1: pass@1 50.0% (") and "fingerprint" in head
    assert any(line.startswith("  beside Open-R1, one sample 26.7% (1 samples): +23.3 points") for line in rest)
    assert "  mind: 1 of 2 completions cut at the most tokens; they count as they are" in rest


def test_the_cards_metadata_is_the_hubs(runs: Path) -> None:
    result = json.loads((runs / "a/evaluation/aime24.json").read_text())
    data = {"repo": "HuggingFaceH4/aime_2024", "config": None, "split": "train", "revision": None}
    (entry,) = model_index("mine", [{**result, "dataset": data}])["model-index"]
    (found,) = entry["results"]
    assert entry["name"] == "mine" and found["task"] == {"type": "text-generation"}
    assert found["dataset"] == {"name": "aime24", "type": "HuggingFaceH4/aime_2024", "split": "train"}
    (metric,) = found["metrics"]
    assert (metric["type"], metric["value"], metric["name"]) == ("pass@1", 75.0, "pass@1, 2 samples (native)")
    assert metric["args"]["temperature"] == 0.6 and metric["args"]["fingerprint"] == result["fingerprint"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")
def test_the_page_sorts_and_filters_in_a_browser(runs: Path, tmp_path: Path) -> None:
    page = write_leaderboard(runs / "board/leaderboard.html", columns(results_under([runs])))
    told = opened(page, tmp_path, "")
    assert shown(told) == ["other/model", "me/mine", "hot/model", R1] and "<script>alert" not in page.read_text()
    assert "me/&lt;script&gt;alert(1)&lt;/script&gt;" in told
    asked = "form.elements.model.value = 'model';"
    told = opened(page, tmp_path, asked + "form.dispatchEvent(new Event('input', {bubbles: true}));")
    assert shown(told) == ["other/model", "hot/model"]
    alike = "document.querySelector('[name=alike]').click(); document.querySelectorAll('th button')[0].click();"
    assert shown(opened(page, tmp_path, alike)) == [R1, "me/mine", "other/model"]
    none = "document.querySelector('[value=native]').click(); document.querySelector('[name=published]').click();"
    told = opened(page, tmp_path, none)
    assert shown(told) == [] and re.search(r'<section class="benchmark" hidden="">\s*<h2>aime24', told)


def opened(page: Path, folder: Path, script: str) -> str:
    """The page's DOM in the end; with a script, that of a copy without the page's content policy, which forbids it."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()).replace(
        "</body>", f"<script>{script}</script></body>"
    )
    copy = page.with_name("copy.html")
    copy.write_text(text)
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-sync",
        "--enable-logging=stderr",
    ]
    flags += ["--disable-background-networking", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    target = (copy if script else page).as_uri()
    done = subprocess.run([str(CHROMIUM), *flags, target], capture_output=True, text=True, timeout=120, check=True)
    assert re.findall(r"CONSOLE.*", done.stderr) == []
    return done.stdout


def shown(dom: str) -> list[str]:
    """The models of the first table's rows of our own that are not hidden, from top to bottom."""
    first = dom.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        row[1]
        for row in re.finditer(r'<tr data-model="([^"]*)"([^>]*)>', first)
        if "hidden" not in row[2] and "published" not in row[2]
    ]


def test_the_page_says_its_scripts_once(runs: Path) -> None:
    page = write_leaderboard(runs / "board/leaderboard.html", columns(results_under([runs]))).read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script.count('"table.sortable"') == 1 and script.count('getElementById("filters")') == 1
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{allowed}'" in page


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_word_is_broken_and_no_number_is_lost_in_a_narrow_terminal(runs: Path, width: int) -> None:
    said = subprocess.run(
        [sys.executable, "-c", NARROW.format(width=width, folder=str(runs))], capture_output=True, text=True, check=True
    ).stdout
    for model, score, interval in (("me/mine", "75.0%", "30.1% to 95.4%"), (R1, "25.0%", "4.6% to 69.9%")):
        assert re.search(
            rf"^ *{score} +{re.escape(model)}$" if width < 120 else f"{model}.*{score}", said, re.MULTILINE
        )
        assert interval in said
    assert "conditions B" in said if width < 120 else "conditions" in said
    assert ("┃" in said) == (width >= 120)


NARROW = """
from omegaconf import OmegaConf
from rich.console import Console
from r1lab.tasks import leaderboard
leaderboard.terminal = lambda: Console(soft_wrap=True, highlight=False, width={width})
leaderboard.run(OmegaConf.create({{"task": {{"runs": ["{folder}"], "page": None}}}}))
"""
