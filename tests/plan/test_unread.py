"""Words that the chosen task never reads: a warning names them where they were typed, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import r1lab
from r1lab.config.compose import compose_choices, session
from r1lab.config.experiments import CONF
from r1lab.config.groups import groups, options_of
from r1lab.plan.unread import ASKED, check_unread
from tests.command_line import CommandLine

ANY = ("doctor",)  # tasks that look at all of a config
HOLDS = ("task", "cluster", "experiment")  # groups that every task reads: a launcher asks for a cluster
WORDS = {  # an option of each part
    "model": "model=qwen2.5-math-7b",
    "dataset": "dataset=openr1-math-220k",
    "reward": "reward=[format]",
    "benchmark": "benchmark=[aime24]",
    "evaluator": "evaluator=native",
    "trainer": "trainer=sft",
    "sandbox": "sandbox=piston",
    "adapter": "adapter=lora",
    "engine": "engine.in_flight=3",
    "generator": "generator=own",
    "hub": "hub=push",
    "tracker": "tracker=[tensorboard]",
    "accelerator": "accelerator=cpu",
    "eval": "eval.problems=3",
}
READ = {  # by hand, from the tasks' code
    **dict.fromkeys(
        ("grpo", "sft", "rft"),
        "model dataset reward sandbox trainer adapter engine eval accelerator hub tracker",
    ),
    "eval": "model dataset reward benchmark evaluator sandbox engine eval accelerator hub tracker",
    "generate": "model dataset reward sandbox engine generator eval accelerator hub tracker",
    "filter": "model dataset reward sandbox engine eval accelerator hub tracker",
    "decontaminate": "dataset accelerator hub tracker",
    "rescore": "reward sandbox accelerator tracker",
    **dict.fromkeys(("report", "status", "cancel", "compare", "leaderboard", "import_recipe", "pipeline"), ""),
    **dict.fromkeys(("model_card", "push"), "hub"),
    "ray": "model engine accelerator",
    "sandbox_server": "sandbox accelerator",
}


def told(words: list[str]) -> set[str]:
    """The parts that a command is warned of."""
    choices = [word for word in words if word.startswith(("task=", "cluster="))]
    found = check_unread(compose_choices(choices), words)
    assert all(item.severity == "warning" and item.where.startswith("override ") for item in found)
    return {item.what.partition(" reads no ")[2].partition(":")[0] for item in found}


def test_every_task_and_every_part() -> None:
    with session():
        assert set(ASKED) == {*groups(), "eval"} - set(HOLDS)
        assert set(options_of("task")) == {*READ, *ANY}
        for task, read in READ.items():
            assert told([f"task={task}", *WORDS.values()]) == set(ASKED) - set(read.split()), task
            assert told([f"task={task}"]) == set()
        for task in ANY:
            assert told([f"task={task}", *WORDS.values()]) == set()


@pytest.mark.parametrize("file", sorted((CONF / "task").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_part_that_a_task_s_own_module_reads_is_listed(file: Path) -> None:
    place = re.search(r"^_target_: r1lab\.(.*)\.run$", file.read_text(), re.MULTILINE)
    assert place is not None
    source = (Path(r1lab.__file__).parent / f"{place[1].replace('.', '/')}.py").read_text()
    listed = re.search(r"^reads: \[(.*)\]$", file.read_text(), re.MULTILINE)
    read = set(re.findall(r"\bcfg\.(\w+)", source)) & set(ASKED)
    assert file.stem in ANY or (listed is not None and read <= set(listed[1].split(", ")))


def test_what_a_file_says_is_not_warned_of(r1lab: CommandLine) -> None:
    Path("experiments").mkdir()
    Path("experiments/mine.yaml").write_text(
        "defaults:\n  - override /task: decontaminate\n  - override /reward: [format]\n  - override /adapter: lora\n"
    )
    plan = r1lab.plan("experiment=mine", "task.against=[gpqa]")
    assert [item.what for item in plan.findings] == []
    assert "reads" not in plan.cfg.task


def test_a_model_may_choose_the_dataset(r1lab: CommandLine) -> None:
    with session():
        assert told(["task=decontaminate", "model=qwen2.5-math-7b"]) == set()
        assert told(["task=decontaminate", "model=qwen2.5-math-7b", "dataset=arithmetic"]) == {"model"}
        assert told(["task=decontaminate", "model.context=3"]) == {"model"}
        assert told(["task=report", "model=qwen2.5-math-7b"]) == {"model"}


def test_a_job_in_a_queue_asks_for_gpus() -> None:
    with session():
        assert told(["task=report", "accelerator=cpu", "cluster=slurm"]) == set()


def test_it_is_said_before_the_task_s_own_output_and_beside_it(r1lab: CommandLine) -> None:
    r1lab("hydra.run.dir=runs/a")
    said = r1lab("task=report", "task.run=runs/a", "reward=[format]", "engine.tries=3")
    assert said.code == 0 and said.out.strip() == "runs/a/report.html"
    assert "task=report reads no reward: it has no effect\n    where    override reward=[format]\n" in said.err
    assert "task=report reads no engine" in said.err
    assert "note" in r1lab("task=decontaminate", "task.against=[gpqa]", "reward=[format]").out
