"""evaluator=lighteval on a real vLLM server: what it judges are the server's own completions, as native sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.config.evaluating import trouble
from r1lab.evaluators import lighteval, native
from r1lab.notebook import compose
from r1lab.plan.checks import plan
from tests.vllm.conftest import Served

WORDS = (
    "task=eval",
    "benchmark=[arithmetic]",
    "benchmark.arithmetic.problems=12",
    "benchmark.arithmetic.samples=4",
    "benchmark.arithmetic.k=[1,4]",
    "benchmark.arithmetic.max_tokens=48",
)


@pytest.mark.skipif(bool(trouble({})), reason="lighteval's environment is not there: make install-eval")
def test_completions_of_vllm_are_judged_alike(served: Served, tmp_path: Path) -> None:
    words = (*served.words, *WORDS, f"task.store={tmp_path / 'store'}")
    theirs_cfg = plan(compose(*words, "evaluator=lighteval", "evaluator.prompts=benchmark"), tmp_path / "a").cfg
    (theirs,) = lighteval.evaluate(theirs_cfg, tmp_path / "a")
    (mine,) = native.evaluate(plan(compose(*words), tmp_path / "b").cfg, tmp_path / "b")
    assert len(theirs.problems) == 12 and all(len(problem.samples) == 4 for problem in theirs.problems)
    for one, other in zip(mine.problems, theirs.problems, strict=True):
        assert one.prompt == other.prompt and one.gold == other.gold
        for a, b in zip(one.samples, other.samples, strict=True):
            assert a.text == b.text and a.tokens == b.tokens and 0 < a.tokens <= 48
            # lighteval finds a number in unanchored text too, and none in an <answer> block: see docs/evaluation.md
            assert b.score in (0.0, 1.0) and b.finish in ("stop", "length")
    assert theirs.context == 256
    assert {problem.samples[0].text for problem in theirs.problems} != {""}
