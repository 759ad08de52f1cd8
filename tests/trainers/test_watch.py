"""The flight recorder, on series of numbers whose faults are known."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest

from r1lab.errors import RunError
from r1lab.runs.folder import RunFolder
from r1lab.trainers.watch import Kind, Thresholds, Watch

FINE = {
    "rewards/accuracy/mean": 0.4,
    "frac_reward_zero_std": 0.2,
    "completions/clipped_ratio": 0.1,
    "completions/mean_length": 100.0,
    "entropy": 0.5,
    "kl": 0.01,
}
FAULTS = {
    Kind.DEAD_REWARD: {"rewards/accuracy/mean": 0.0},
    Kind.ZERO_SPREAD: {"frac_reward_zero_std": 0.95},
    Kind.TRUNCATION: {"completions/clipped_ratio": 0.7},
    Kind.LENGTH_EXPLOSION: {"completions/mean_length": 401.0},
    Kind.KL: {"kl": 11.0},
    Kind.ENTROPY_COLLAPSE: {"entropy": 0.009},
}


def fly(watch: Watch, records, first=1):
    for step, record in enumerate(records, first):
        state = SimpleNamespace(is_world_process_zero=True, global_step=step)
        watch.on_log(None, state, None, logs=record)


def written(folder: RunFolder):
    return [(record["step"], record["kind"]) for record in folder.records("warnings.jsonl")]


@pytest.mark.parametrize("kind", list(Kind))
def test_each_fault_is_said_once_after_a_whole_window(tmp_path, caplog, kind):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=3), ("accuracy",))
    bad = {**FINE, **FAULTS[kind]}
    with caplog.at_level(logging.WARNING, "r1lab"):
        fly(watch, [FINE] * 4 + [bad, bad, FINE] + [bad] * 8)
    assert written(folder) == [(10, kind)]
    assert len(caplog.records) == 1 and caplog.records[0].getMessage().startswith("step 10: ")


def test_a_healthy_run_is_silent(tmp_path):
    folder = RunFolder(tmp_path)
    fly(Watch(folder, Thresholds(window=2), ("accuracy",)), [FINE] * 50)
    assert written(folder) == []


@pytest.mark.parametrize("kind", list(Kind))
def test_a_limit_of_null_keeps_a_warning_silent(tmp_path, kind):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=2, **{kind.value: None}), ("accuracy",))
    fly(watch, [FINE] * 3 + [{**FINE, **FAULTS[kind]}] * 6)
    assert written(folder) == []


def test_it_stops_the_run_when_told_to(tmp_path):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=2, stop=("dead_reward",)), ("accuracy",))
    dead = {**FINE, "rewards/accuracy/mean": 0.0}
    with pytest.raises(RunError, match="stopped at step 2: dead reward accuracy"):
        fly(watch, [dead] * 5)
    assert written(folder) == [(2, Kind.DEAD_REWARD)]


def test_other_warnings_do_not_stop_it(tmp_path):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=2, stop=("kl",)), ("accuracy",))
    fly(watch, [{**FINE, "rewards/accuracy/mean": 0.0}] * 5)
    assert written(folder) == [(2, Kind.DEAD_REWARD)]


def test_two_dead_rewards_are_two_warnings(tmp_path):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=2), ("accuracy", "format"))
    fly(watch, [{"rewards/accuracy/mean": 0.0, "rewards/format/mean": 0.0}] * 3)
    texts = [record["text"] for record in folder.records("warnings.jsonl")]
    assert [text.split(":")[0] for text in texts] == ["dead reward accuracy", "dead reward format"]


def test_a_reward_that_moves_or_is_skipped_is_not_dead(tmp_path):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=3), ("accuracy",))
    fly(watch, [{"rewards/accuracy/mean": value} for value in (0.0, 0.0, 0.1, 0.0, 0.0, float("nan"), 0.2)])
    assert written(folder) == []


def test_a_resumed_run_remembers_what_it_saw_and_said(tmp_path):
    folder = RunFolder(tmp_path)
    records = [{"step": step, "completions/mean_length": 100.0} for step in (1, 2)]
    records += [{"step": step, "completions/mean_length": 450.0} for step in (3,)]
    folder.append("metrics.jsonl", records)
    watch = Watch(folder, Thresholds(window=2), ())
    fly(watch, [{"completions/mean_length": 450.0}], first=4)
    assert written(folder) == [(4, Kind.LENGTH_EXPLOSION)]
    again = Watch(folder, Thresholds(window=2), ())
    fly(again, [{"completions/mean_length": 450.0}] * 4, first=5)
    assert written(folder) == [(4, Kind.LENGTH_EXPLOSION)]


def test_the_closing_record_and_other_processes_are_not_looked_at(tmp_path):
    folder = RunFolder(tmp_path)
    watch = Watch(folder, Thresholds(window=1), ("accuracy",))
    dead = {"rewards/accuracy/mean": 0.0}
    state = SimpleNamespace(is_world_process_zero=False, global_step=1)
    watch.on_log(None, state, None, logs=dead)
    fly(watch, [{**dead, "train_runtime": 1.0}])
    assert written(folder) == [] and not list(tmp_path.joinpath("warnings.jsonl").parent.glob("warnings*"))
    assert json.dumps(Kind.KL) == '"kl"'
