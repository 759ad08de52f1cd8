"""Pairs of completions, scores and the table of rewards."""

import pytest

from r1lab.report.diagnosis import findings, reward_health
from r1lab.report.records import Completion, read_run
from r1lab.report.samples import judged, pairs
from r1lab.report.score import lower_is_better, score
from r1lab.report.words import clean, duration, joined, number, value_of


def sample(step, prompt, accuracy=1.0, **rewards):
    return Completion(step, prompt, "text", None, {"accuracy": accuracy, **rewards}, 3, "stop", hash(prompt))


def test_the_same_problem_stands_early_beside_late():
    found = pairs([sample(0, "a", 0.0), sample(0, "b"), sample(5, "a", 0.5), sample(9, "a", 1.0), sample(9, "b", 0.0)])
    assert [(p.early.completion.step, p.late.completion.step, p.same, p.story) for p in found] == [
        (0, 9, True, "learnt"),
        (0, 9, True, "lost"),
    ]


def test_other_problems_stand_side_by_side_when_none_was_sampled_twice():
    found = pairs([sample(step, f"problem {step}") for step in range(10)], most=3)
    assert [(p.early.completion.step, p.late.completion.step, p.same) for p in found] == [
        (0, 7, False),
        (1, 8, False),
        (2, 9, False),
    ]


def test_one_evaluation_alone_has_no_late_side():
    found = pairs([sample(0, str(i)) for i in range(20)], most=4)
    assert [(p.early.completion.prompt, p.late) for p in found] == [
        ("0", None),
        ("5", None),
        ("10", None),
        ("15", None),
    ]


def test_pairs_are_taken_evenly_not_by_their_result():
    completions = [sample(step, str(i), float(step == i)) for step in (0, 9) for i in range(60)]
    assert [p.early.completion.prompt for p in pairs(completions)] == ["0", "10", "20", "30", "40", "50"]


@pytest.mark.parametrize(
    ("rewards", "verdict"),
    [
        ({"accuracy": 1.0, "format": 0.0}, "right"),
        ({"format": 1.0, "accuracy": 0.0}, "wrong"),
        ({"accuracy": 0.4}, "partly"),
        ({"accuracy": None, "format": 1.0}, "unjudged"),
        ({"format": None, "tests": 1.0}, "right"),
        ({}, "unjudged"),
        ({"accuracy": float("nan")}, "unjudged"),
    ],
)
def test_the_verdict_is_the_accuracy_rewards(rewards, verdict):
    assert judged(Completion(0, "p", "t", None, rewards, None, None, 0)).verdict == verdict


def test_the_score_comes_from_the_summary_else_from_the_stream(fake_run, contents):
    told = score(read_run(fake_run()))
    assert (told.before.value, told.after.value, told.apart, told.improved) == (0.44, 0.8712, True, True)
    killed = score(read_run(fake_run("killed", summary=None, metrics=contents["lines"][:100])))
    last = [line for line in contents["lines"][:100] if "eval/accuracy" in line][-1]
    assert (killed.before.step, killed.before.value) == (0, 0.44)
    assert (killed.after.step, killed.after.value, killed.after.low) == (
        last["step"],
        last["eval/accuracy"],
        last["eval/accuracy_low"],
    )


def test_intervals_that_overlap_are_not_called_a_change(fake_run):
    summary = {
        "eval/accuracy": 0.5,
        "eval/accuracy_low": 0.45,
        "eval/accuracy_high": 0.55,
        "eval/accuracy_before": 0.44,
        "eval/accuracy_before_low": 0.4,
        "eval/accuracy_before_high": 0.48,
    }
    assert score(read_run(fake_run(summary=summary))).apart is False


def test_the_interval_before_is_read_in_either_spelling(fake_run):
    ends = {"eval/accuracy_low_before": 0.4, "eval/accuracy_high_before": 0.5}
    before = score(read_run(fake_run(summary={"eval/accuracy": 0.8, "eval/accuracy_before": 0.45, **ends}))).before
    assert (before.low, before.high) == (0.4, 0.5)


def test_the_objective_stands_in_where_there_is_no_accuracy(fake_run):
    summary = {"objective": "eval/loss", "eval/loss": 1.5, "eval/loss_before": 2.0}
    found = score(read_run(fake_run(metrics=[{"step": 1, "loss": 2.0}], summary=summary)))
    assert (found.key, found.change, found.improved, found.apart) == ("eval/loss", -0.5, True, None)
    assert [lower_is_better(key) for key in ("eval/loss", "eval_loss", "kl", "eval/accuracy", "reward")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_each_rewards_health(fake_run):
    rows = [
        {
            "step": s,
            "rewards/dead": 0,
            "rewards/fine": s,
            "rewards/same": 2,
            "rewards/never": None,
            "skipped/fine": 0.25,
            "infrastructure_failures/same": 3,
        }
        for s in range(1, 21)
    ]
    run = read_run(fake_run(metrics=rows, config="reward: {fine: {weight: 0.5}, absent: {weight: 1}}"))
    found = {r.name: (r.weight, r.early, r.late, r.skipped, r.infrastructure, r.verdict) for r in reward_health(run)}
    assert found == {
        "fine": (0.5, 1.5, 19.5, "0.25 on average", None, "ok"),
        "absent": (1, None, None, None, None, "not logged"),
        "dead": (None, 0, 0, None, None, "dead"),
        "same": (None, 2, 2, None, "60", "constant"),
        "never": (None, None, None, None, None, "never verifiable"),
    }
    assert [(f.level, f.title) for f in findings(run)] == [
        ("bad", "dead reward"),
        ("bad", "infrastructure failures"),
        ("bad", "dead reward"),
        ("warn", "skipped"),
        ("warn", "reward not logged"),
        ("warn", "constant reward"),
    ]


def test_words():
    assert [number(v) for v in (None, 3, 0.123456, 12345678, -0.5, float("nan"), float("-inf"), 1234.56, True)] == [
        "–",
        "3",
        "0.1235",
        "12,345,678",
        "−0.5",
        "not a number",
        "−∞",
        "1,234.6",
        "True",
    ]
    assert [duration(v) for v in (None, 3.21, 61, 3600, 7500, 90000, -1)] == [
        "–",
        "3.2 s",
        "1 min 1 s",
        "1 h",
        "2 h 5 min",
        "1 d 1 h",
        "–",
    ]
    assert [value_of("eval/accuracy", 0.8712), value_of("eval/pass@8", 1), value_of("rewards/accuracy", 0.5)] == [
        "87.1\xa0%",
        "100.0\xa0%",
        "0.5",
    ]
    assert clean("a\r\n\tb\0\x1b\x7f\ud800\ufffe") == "a\n\tb␀␛␡��"
    assert [joined([]), joined(["a"]), joined(["a", "b", "c"])] == ["", "a", "a, b and c"]
