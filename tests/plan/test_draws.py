"""Random search: what is drawn, from where, how often; and that every run is planned before the first starts."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

from r1lab.errors import ConfigError
from r1lab.plan.draws import draws, product
from tests.command_line import CommandLine

RANDOM = ("-m", "hydra/sweeper=random")


def values(jobs: list[list[str]], key: str) -> list[float]:
    return [float(word.partition("=")[2]) for job in jobs for word in job if word.startswith(f"{key}=")]


def test_more_trials_begin_with_those_of_fewer_and_another_seed_draws_others() -> None:
    words = ["task=grpo", "a=tag(log,interval(1e-6,1e-4))", "b=x,y,z"]
    few, many, other = draws(words, 5, 1), draws(words, 9, 1), draws(words, 5, 2)
    assert many[:5] == few and len(many) == 9
    assert few != other
    assert all(job[0] == "task=grpo" and len(job) == 3 for job in many)


def test_an_interval_is_uniform_and_a_logarithm_of_one_log_uniform() -> None:
    """Kolmogorov's bound at 1 in 10,000: 2.23 / sqrt(n) is the largest gap between the two distributions."""
    jobs = draws(["u=interval(2,10)", "l=tag(log,interval(1e-6,1e-2))"], 2000, 3)
    shares = {
        "u": sorted((value - 2) / 8 for value in values(jobs, "u")),
        "l": sorted(math.log(value / 1e-6) / math.log(1e4) for value in values(jobs, "l")),
    }
    for found in shares.values():
        assert len(found) == 2000
        gap = max(abs((place + 1) / 2000 - value) for place, value in enumerate(found))
        assert gap < 2.23 / math.sqrt(2000)
    assert statistics.median(values(jobs, "l")) == pytest.approx(1e-4, rel=0.4)  # not 5e-3, as without the logarithm


def test_whole_numbers_include_both_ends() -> None:
    assert set(values(draws(["n=int(interval(1,4))"], 4, 0), "n")) == {1, 2, 3, 4}
    logs = values(draws(["n=tag(log,int(interval(1,8)))"], 8, 0), "n")
    assert set(logs) == set(range(1, 9))


def test_no_run_is_drawn_twice() -> None:
    jobs = draws(["a=1,2", "b=range(0,3)"], 20, 0)
    assert sorted(map(tuple, jobs)) == sorted(map(tuple, product(["a=1,2", "b=range(0,3)"])))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a=interval(4,4)", "a=interval(4,4) holds no number"),
        ("a=tag(log,interval(0,1))", "a=tag(log,interval(0,1)): a logarithm needs a range above 0"),
        ("a=1", "hydra/sweeper=random has nothing to draw"),
    ],
)
def test_a_range_that_cannot_be_drawn_from(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(").replace(")", r"\)")):
        draws([word], 3, 0)


def test_a_range_needs_the_random_sweeper(r1lab: CommandLine) -> None:
    finding = r1lab.one("-m", "trainer.learning_rate=interval(1e-6,1e-4)")
    assert finding["what"] == "trainer.learning_rate=interval(1e-6,1e-4) is a range, not values"
    assert finding["fix"].startswith("hydra/sweeper=random hydra.sweeper.trials=20 draws from it")


def test_a_random_search_runs_what_was_planned(r1lab: CommandLine) -> None:
    words = (*RANDOM, "hydra.sweeper.trials=3", "hydra.sweeper.seed=7", "trainer.learning_rate=interval(1e-6,1e-4)")
    rates = [plan.cfg.trainer.learning_rate for plan in _plans(words)]
    said = r1lab(*words)
    assert said.code == 0, said.err
    assert [cfg.trainer.learning_rate for cfg in said.started.values()] == rates
    assert all(1e-6 <= rate <= 1e-4 for rate in rates) and len(set(rates)) == 3
    assert [folder.name for folder in said.started] == ["0", "1", "2"]
    again = r1lab(*words[:2], "hydra.sweeper.trials=4", *words[3:])  # one more
    assert {folder.parent for folder in again.started} == {folder.parent for folder in said.started}


def test_a_range_of_the_wrong_kind_is_refused_before_anything_is_drawn(r1lab: CommandLine) -> None:
    finding = r1lab.one(*RANDOM, "trainer.max_steps=interval(1,10)")
    assert finding["what"] == "trainer.max_steps takes a whole number, not 1.0"
    assert finding["fix"].startswith("trainer.max_steps=int(interval(1")
    assert r1lab.one(*RANDOM, "seed=1")["what"] == "hydra/sweeper=random has nothing to draw"
    assert not Path("outputs").exists()


def test_a_sweep_s_own_words_are_looked_at(r1lab: CommandLine) -> None:
    finding = r1lab.one(*RANDOM, "seed=1,2", "hydra.sweeper.trials=many")
    assert finding["what"] == "hydra.sweeper.trials takes a whole number, 1 or more, not 'many'"
    assert finding["where"] == "override hydra.sweeper.trials=many"
    assert r1lab.one("sweep.direction=minimise")["nearest"] == "sweep.direction=minimize"
    assert r1lab.one("sweep.failed=redo")["fix"] == "keep or retry"
    assert r1lab.one("sweep.retries=-1")["what"].startswith("sweep.retries=-1")


def _plans(words: tuple[str, ...]) -> list:
    from r1lab.config.compose import session
    from r1lab.plan.request import plan_request

    with session():
        return plan_request(list(words[1:]), multirun=True).plans
