"""An engine that says what it is told to, and the numbers that must come out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from datasets import Dataset

from r1lab.engines.base import Completion, Conversation, OnProgress, Sampling
from r1lab.errors import DataError, RewardError
from r1lab.evaluation.metrics import wilson
from r1lab.evaluation.records import Record
from r1lab.evaluation.sampling import Sampled, mean_of, sample_and_score, summary
from r1lab.rewards import load
from r1lab.rewards.base import Failure, Reward
from r1lab.tasks import eval as task


def at_k(sampled: Sampled, reward: str, ks: list[int]) -> dict[str, float]:
    """The task's metrics of a sampling."""
    problems = task.problems_of(sampled, reward)
    return task.at_k(Record("rows", len(sampled.completions[0]), problems, {}), ks)


class Told:
    """Gives the completions it was made with."""

    def __init__(self, completions: list[list[str]]):
        self.completions = completions

    def generate(
        self, prompts: Sequence[Conversation], sampling: Sampling, on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        assert all(len(row) == sampling.n for row in self.completions)
        return [
            [Completion(text, len(text), "length" if "…" in text else "stop") for text in row]
            for row in self.completions
        ]


def rows(solutions: list[str | None]) -> Dataset:
    problems = [[{"role": "user", "content": f"problem {i}"}] for i in range(len(solutions))]
    return Dataset.from_dict({"prompt": problems, "solution": solutions})


@pytest.fixture
def sampled() -> Sampled:
    """Four problems, two samples each: both right, one right, none right, not verifiable."""
    texts = [
        ["<answer>1</answer>"] * 2,
        ["<answer>2</answer>", "…"],
        ["<answer>1</answer>", "x"],
        ["<answer>1</answer>"] * 2,
    ]
    seen = Reward(
        "seen", lambda completions, prompts, solution: [2.0 * float(prompt[-1]["content"][-1]) for prompt in prompts]
    )
    return sample_and_score(Told(texts), rows(["1", "2", "3", None]), [load("accuracy"), seen], Sampling(n=2))


def test_the_summary_is_known_exactly(sampled: Sampled) -> None:
    assert sampled.scores["accuracy"] == [[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [None, None]]
    metrics = summary(sampled)
    assert metrics.pop("eval/accuracy") == 0.5  # the mean over the three problems that count
    assert metrics.pop("eval/accuracy_low") == pytest.approx(wilson(0.5, 3)[0])
    assert metrics.pop("eval/accuracy_high") == pytest.approx(wilson(0.5, 3)[1])
    assert metrics == {
        "eval/skipped/accuracy": 2 / 8,
        "eval/seen": 3.0,  # not a share: no interval
        "eval/length": (18 * 6 + 1 + 1) / 8,
        "eval/truncated": 1 / 8,
    }


def test_the_diagnosis_gets_a_prompt_for_each_completion(sampled: Sampled) -> None:
    def diagnose(prompts: Sequence[str], completions: Sequence[str]) -> dict[str, float]:
        assert prompts == ["problem 0"] * 2 + ["problem 1"] * 2 + ["problem 2"] * 2 + ["problem 3"] * 2
        assert len(completions) == 8 and completions[3] == "…"
        return {"looks": 0.25}

    assert summary(sampled, diagnose)["eval/looks"] == 0.25


def test_records_hold_every_completion_with_its_scores(sampled: Sampled) -> None:
    records = sampled.records(step=7)
    assert len(records) == 8
    assert records[3] == {
        "step": 7,
        "problem": 1,
        "sample": 1,
        "prompt": "problem 1",
        "completion": "…",
        "solution": "2",
        "rewards": {"accuracy": 0.0, "seen": 2.0},
        "tokens": 1,
        "finish": "length",
    }


def test_pass_and_majority_at_k_leave_out_what_cannot_be_verified(sampled: Sampled) -> None:
    metrics = at_k(sampled, "accuracy", [2])
    assert metrics["eval/problems_skipped"] == 1
    assert metrics["eval/pass@1"] == pytest.approx(0.5)
    assert metrics["eval/pass@2"] == pytest.approx(2 / 3)
    assert metrics["eval/maj@2"] == pytest.approx(2 / 3)  # "…" has no vote, so one right answer leads
    assert {key for key in metrics if key.endswith("_low")} == {
        f"eval/{name}_low" for name in ("pass@1", "pass@2", "maj@2")
    }


def test_nothing_to_measure_is_said() -> None:
    sampled = sample_and_score(Told([["x"]]), rows([None]), [load("accuracy")], Sampling())
    assert "eval/accuracy" not in summary(sampled) and summary(sampled)["eval/skipped/accuracy"] == 1.0
    with pytest.raises(DataError, match="rows: no problem could be judged"):
        at_k(sampled, "accuracy", [1])


def test_the_mean_of_what_is_there() -> None:
    assert mean_of([1.0, None, 0.0]) == 0.5
    assert mean_of([None]) is None and mean_of([]) is None


def test_a_skipped_sample_is_not_a_wrong_one() -> None:
    texts = [["a", "b", "c", "d"], ["a", "b", "c", "d"]]
    measured = sample_and_score(Told(texts), rows(["1", "2"]), [], Sampling(n=4))
    measured.scores["accuracy"] = [[1.0, None, 0.0, None], [1.0, 1.0, 1.0, 0.0]]
    metrics = at_k(measured, "accuracy", [2, 3])
    assert metrics["eval/pass@1"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert metrics["eval/pass@2"] == pytest.approx((1.0 + 1.0) / 2)
    assert metrics["eval/pass@3"] == 1.0
    assert metrics["eval/pass@3_problems"] == 1
    measured.scores["accuracy"][1][0] = None
    found = at_k(measured, "accuracy", [4])  # what has been sampled is not thrown away for a k that cannot be had
    assert found["eval/pass@4_problems"] == 0 and "eval/pass@4" not in found and "eval/pass@1" in found


def test_failures_are_told_apart_from_skips() -> None:
    marks = [1.0, None, Failure("down"), 0.0]
    broken = Reward("broken", lambda completions: marks)
    measured = sample_and_score(Told([["a", "b"], ["c", "d"]]), rows(["1", "2"]), [broken], Sampling(n=2))
    assert measured.scores["broken"] == [[1.0, None], [None, 0.0]]
    metrics = summary(measured)
    assert metrics["eval/broken"] == 0.5
    assert metrics["eval/skipped/broken"] == 1 / 4 and metrics["eval/infrastructure_failures/broken"] == 1 / 4
    with pytest.raises(RewardError, match=r"reward broken: 25% of 4 completions .*: down"):
        broken.max_failures = 0.2
        sample_and_score(Told([["a", "b"], ["c", "d"]]), rows(["1", "2"]), [broken], Sampling(n=2))


def test_rewards_get_what_a_trainer_gives_them() -> None:
    class Counted(Told):
        def generate(
            self, prompts: Sequence[Conversation], sampling: Sampling, on_progress: OnProgress | None = None
        ) -> list[list[Completion]]:
            return [[Completion(text, len(text), "stop", (0,) * len(text)) for text in row] for row in self.completions]

    texts = [[r"\boxed{1}", r"\boxed{1} indeed"], [r"\boxed{2}" + "." * 90, r"\boxed{2}"]]
    by_tokens = load("soft_overlong_punishment", max_completion_len=20, soft_punish_cache=20)
    rewards = [load("length"), by_tokens]
    measured = sample_and_score(Counted(texts), rows(["1", "2"]), rewards, Sampling(n=2))
    assert measured.scores["length"] == [[0.5, -0.5], [-0.5, 0.5]]  # per prompt
    assert measured.scores["soft_overlong_punishment"] == [[-9 / 20, -16 / 20], [-1.0, -9 / 20]]
    measured = sample_and_score(Told(texts), rows(["1", "2"]), rewards, Sampling(n=2))
    assert measured.scores["soft_overlong_punishment"] == [[None, None]] * 2  # this engine knows no tokens


def test_scores_that_are_no_shares_have_no_interval_though_their_means_are_shares() -> None:
    rows = Dataset.from_list([{"prompt": "a"}, {"prompt": "b"}])
    sampled = Sampled(rows, [], {"own": [[-0.5, 1.0], [1.0, 0.0]], "share": [[0.5, 1.0], [1.0, None]]})
    assert sampled.mean("own") is None
    found = sampled.mean("share")
    assert found and found.value == 0.875
