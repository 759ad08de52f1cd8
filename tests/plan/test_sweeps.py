"""A sweep is planned whole before any of its runs starts."""

from __future__ import annotations

import json
from pathlib import Path

from r1lab.plan.request import jobs_of, swept, value_of
from tests.command_line import CommandLine


def test_one_bad_value_refuses_all_and_says_which_run(r1lab: CommandLine) -> None:
    finding = r1lab.one("-m", "trainer.num_generations=4,7,8")
    assert finding["what"].startswith(
        "run trainer.num_generations=7: trainer.num_generations=7 does not divide the 128 completions"
    )
    assert finding["where"] == "override trainer.num_generations=7"


def test_a_fault_of_several_runs_is_told_once(r1lab: CommandLine) -> None:
    finding = r1lab.one("-m", "seed=1,2,3", "trainer.num_generations=4,7")
    assert finding["what"].startswith("run seed=1, trainer.num_generations=7 and 2 other runs: ")


def test_a_sweep_over_nothing(r1lab: CommandLine) -> None:
    finding = r1lab.one("-m", "trainer.learning_rate=1e-4,1e-3", "seed=range(0)")
    assert (finding["what"], finding["where"]) == ("a sweep over nothing has no run", "override seed=range(0)")


def test_a_wrong_word_in_a_sweep(r1lab: CommandLine) -> None:
    finding = r1lab.one("-m", "trainer.learning_rate=1e-4,1e-3,high")
    assert finding["what"] == "trainer.learning_rate takes a number, not 'high'"
    assert r1lab.one("-m", "model=tiny,tinny")["nearest"] == "model=tiny"
    assert r1lab.one("-m", "reward=[accuracy],[acuracy]")["nearest"] == "reward=[accuracy]"


def test_a_word_that_only_one_task_of_a_sweep_knows(r1lab: CommandLine) -> None:
    finding = r1lab.one("-m", "task=sft,eval", "trainer.max_steps=4")
    assert finding["what"] == "run task=eval: task=eval trains nothing, so trainer.max_steps has no meaning"


def test_several_values_without_the_flag(r1lab: CommandLine) -> None:
    finding = r1lab.one("seed=1,2", "dry_run=true", "reward=[accuracy]")
    assert finding["what"] == "seed=1,2 asks for several runs"
    assert finding["fix"] == "add -m to run each; or, if it is one value, quote it: 'seed=\"1,2\"'"
    assert r1lab.accepts('name="a,b"').name == "a,b"


def test_the_flag_may_stand_anywhere(r1lab: CommandLine) -> None:
    for words in (["-m", "seed=1,2", "name=x"], ["seed=1,2", "-m", "name=x"], ["name=x", "seed=1,2", "--multirun"]):
        assert [cfg.seed for cfg in r1lab(*words).started.values()] == [1, 2]


def test_a_sweep_ends_with_a_table_of_the_folder_that_was_planned(r1lab: CommandLine) -> None:
    said = r1lab("-m", "seed=1,2")
    assert said.code == 0, said.err
    folders = list(said.started)
    assert [str(folder) for folder in folders] == [str(folders[0].parent / "0"), str(folders[0].parent / "1")]
    assert folders[0].parent.parent == Path("outputs/sweeps")
    assert "seed" in said.out
    assert f"{folders[0].parent}/sweep.html" in said.out
    assert (folders[0].parent / "sweep.html").is_file()


def test_a_sweep_goes_where_it_is_told(r1lab: CommandLine) -> None:
    said = r1lab("-m", "seed=1,2", "hydra.sweep.dir=my sweep")
    assert [str(folder) for folder in said.started] == ["my sweep/0", "my sweep/1"]
    assert "my sweep/sweep.html" in said.out
    finding = r1lab.one("-m", "seed=1,2", "hydra.sweep.dir=/proc/x")
    assert finding["what"].startswith("run seed=1 and 1 other run: /proc/x cannot be written")
    assert finding["where"] == "override hydra.sweep.dir=/proc/x"


def test_a_dry_run_of_a_sweep(r1lab: CommandLine) -> None:
    said = r1lab("-m", "reward=[accuracy],[accuracy,format]", "dry_run=true")
    assert (said.code, said.started) == (0, {})
    assert "nothing speaks against these 2 runs" in said.out
    said = r1lab("-m", "seed=1,2", "dry_run=json")
    plans = json.loads(said.out)
    assert [Path(plan["folder"]).name for plan in plans] == ["0", "1"]
    assert not Path("outputs").exists()


def test_runs_that_are_one_run_are_told(r1lab: CommandLine) -> None:
    words = ["-m", "trainer.learning_rate=1e-4,0.0001,2e-4", "seed=1,1"]
    said = r1lab(*words, "dry_run=true").out
    same = [line for line in said.splitlines() if "again, since its words mean the same" in line]
    assert [line.split()[2::6][:2] for line in same] == [["1", "0"], ["2", "0"], ["3", "0"], ["5", "4"]]
    assert "mean the same" not in r1lab("-m", "seed=1,2", "dry_run=true").out
    assert json.loads(r1lab(*words, "dry_run=json").out)


def test_the_words_of_each_run() -> None:
    words = ["task=sft", "seed=1,2", "trainer.beta=range(0,2)"]
    jobs = jobs_of(words)
    assert [swept(job, words) for job in jobs] == [
        ["seed=1", "trainer.beta=0"],
        ["seed=1", "trainer.beta=1"],
        ["seed=2", "trainer.beta=0"],
        ["seed=2", "trainer.beta=1"],
    ]
    assert all("task=sft" in job for job in jobs)


def test_the_value_of_a_word() -> None:
    assert value_of(["resume=a", "resume='my run'"], "resume") == "my run"
    assert value_of(["resume=null"], "resume") is None
    assert value_of(["resume="], "resume") is None
    assert value_of(["seed=1", "["], "resume") is None
