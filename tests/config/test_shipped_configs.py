"""Every file under conf/ and experiments/ composes and plans; what needs a value of the user's says exactly which."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from r1lab.config.compose import session
from r1lab.config.experiments import CONF, EXPERIMENTS
from r1lab.config.groups import composed_files
from r1lab.config.source import exists
from r1lab.errors import ConfigError
from r1lab.plan.fields import LISTS
from r1lab.plan.request import plan_request
from tests.command_line import CommandLine

OPTIONS = sorted(str(file.relative_to(CONF).with_suffix("")) for file in CONF.glob("*/*.yaml"))
FITTED = sorted(file.stem for file in CONF.glob("trainer/for/*.yaml"))
SHIPPED_EXPERIMENTS = sorted(file.stem for file in EXPERIMENTS.glob("*.yaml"))
RECIPES = {  # for machines with GPUs, or with vLLM
    file.stem for file in EXPERIMENTS.glob("*.yaml") if {"/accelerator:", "/engine:"} & set(file.read_text().split())
} | {"r1", "r1-distill", "r1-zero"}
NEED = {  # options that name nothing by themselves
    "model/hub": "model.repo has no value",
    "dataset/hub": "dataset.repo has no value",
    "dataset/local": "dataset.path has no value",
    "dataset/mixture": "dataset.datasets has no value",
    "task/import_recipe": "task.path has no value",
    "task/cancel": "task.run has no value",
    "task/push": "task.run has no value",
    "task/compare": "task.runs has no value",
    "task/model_card": "task.run has no value",
    "task/pipeline": "task=pipeline names no stage",
    "task/rescore": "task.completions has no value",
    "task/report": "task.run has no value",
    "reward/weighted_sum": "reward.weighted_sum.parts has no value",
}
ELSEWHERE = {
    "adapter/qlora": "adapter.quantisation",
    "engine/vllm": "engine=vllm needs vllm",
    "task/ray": ("sbatch is not on PATH", "sinfo: ", "engine=server starts `vllm serve`, and there is no program"),
    **{f"cluster/{file.stem}": ("sbatch is not on PATH", "sinfo: ") for file in CONF.glob("cluster/*.yaml")},
}  # options that need what the machine of the tests may lack
PLANNED = {f"accelerator/{file.stem}" for file in CONF.glob("accelerator/*.yaml")} - {
    "accelerator/auto",
    "accelerator/cpu",
}
TRAINED = ["task=sft", "reward=[format]"]
FITTING = {  # what a dataset that has no answers, or nothing to train on, is for
    "mixture-of-thoughts": TRAINED,
    "codeforces-cots": TRAINED,
    "codeforces": ["reward=[cf_code]"],
    "verifiable-coding-problems-python": ["reward=[code]"],
    "verifiable-coding-problems-python_decontaminated": ["reward=[code]"],
    "ioi": ["reward=[ioi_code]"],
    "aime_2024": ["task=eval"],
    "aime_2025": ["task=eval"],
    "math-500": ["task=eval"],
    "gpqa": ["task=eval"],
    "code_generation_lite": ["task=eval", "reward=[format]"],
    "code_generation_lite_v4": ["task=eval", "reward=[format]"],
}
PYTHON = ["dataset=verifiable-coding-problems-python"]
TESTED = {"code": PYTHON, "binary_code": PYTHON, "cf_code": ["dataset=codeforces"], "ioi_code": ["dataset=ioi"]}


def words_for(option: str) -> list[str]:
    """The command that chooses an option, with the task that a trainer belongs to."""
    group, _, name = option.partition("/")
    if group == "reward":
        return [f"reward=[{name}]", *TESTED.get(name, [])]
    if group == "benchmark":
        model = [] if name == "arithmetic" else ["model=deepseek-r1-distill-qwen-7b"]  # whose context has room
        return ["task=eval", f"benchmark=[{name}]", *model]
    if option == "task/ray":
        return ["task=ray", "cluster=h100-8x", "model=qwen2.5-coder-32b-instruct"]
    if group in LISTS:
        return [f"{group}=[{name}]"]
    if group == "dataset":
        return [f"dataset={name}", *FITTING.get(name, [])]
    if option in ("engine/server", "generator/distilabel"):
        return ["task=generate", "engine=server", "engine.urls=[http://localhost:8000/v1]", f"{group}={name}"]
    tasks = {"trainer": name, "generator": "generate", "evaluator": "eval"}  # that read the group
    return [*([f"task={tasks[group]}"] if group in tasks else []), f"{group}={name}"]


def test_there_are_options() -> None:
    assert len(OPTIONS) >= 23
    assert set(NEED) < set(OPTIONS)
    assert SHIPPED_EXPERIMENTS


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("accelerator/")])
def test_an_accelerator_is_planned_for_other_machines(option: str, r1lab: CommandLine) -> None:
    plan = r1lab.plan(f"accelerator={option.partition('/')[2]}", "dry_run=true")
    gpu = "accelerator.device=cuda: this machine has no GPU that is visible"
    lacking = [] if plan.cfg.accelerator.name in ("auto", "cpu") else [gpu]
    assert [finding.what for finding in plan.findings] == lacking
    assert plan.errors == []
    assert plan.cfg.accelerator.name == option.partition("/")[2]


@pytest.mark.whole
@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in (*NEED, *ELSEWHERE, *PLANNED)])
def test_an_option_plans(option: str, r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    if option.startswith("tracker/"):
        pytest.importorskip(option.partition("/")[2])
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("WANDB_MODE", "offline")
    plan = r1lab.plan(*words_for(option))
    assert plan.findings == []
    assert plan.facts["run"]
    group, _, name = option.partition("/")
    chosen = list(plan.cfg[group]) if group in LISTS else plan.cfg[group].get("name", name)
    whole = [item for item in chosen if item != "arithmetic"] if option == "benchmark/all" else [name]
    assert chosen == (whole if group in LISTS else name)


@pytest.mark.parametrize("option", sorted(ELSEWHERE))
def test_an_option_for_other_machines_plans_with_a_warning(option: str, r1lab: CommandLine) -> None:
    group, _, name = option.partition("/")
    plan = r1lab.plan(*words_for(option), "dry_run=true")
    assert plan.cfg[group].name == name and plan.errors == []
    assert option != "cluster/local" or not plan.findings
    assert all(finding.what.startswith(ELSEWHERE[option]) for finding in plan.findings)


@pytest.mark.parametrize("option", sorted(NEED))
def test_an_option_that_needs_a_value_says_which(option: str, r1lab: CommandLine) -> None:
    with pytest.raises(ConfigError) as caught:
        r1lab.plan(*words_for(option))
    assert [finding.what for finding in caught.value.findings] == [NEED[option]]
    if NEED[option].endswith(" has no value"):
        missing = NEED[option].removesuffix(" has no value")
        assert f"{missing}=" in caught.value.findings[0].fix


@pytest.mark.parametrize("name", FITTED)
def test_numbers_for_a_model_are_used(name: str, r1lab: CommandLine) -> None:
    model, _, task = name.rpartition("-")
    words = [f"model={model}", f"task={task}"]
    with session():
        assert ("trainer", CONF / "trainer" / "for" / f"{name}.yaml") in composed_files(words)
    assert r1lab.plan(*words).findings == []


@pytest.mark.whole
@pytest.mark.parametrize("name", SHIPPED_EXPERIMENTS)
def test_an_experiment_plans_as_its_first_line_says(name: str, r1lab: CommandLine) -> None:
    first, second = (EXPERIMENTS / f"{name}.yaml").read_text().splitlines()[:2]
    command, words = first[:17], shlex.split(first[17:])
    assert command == "# python -m r1lab"
    assert f"experiment={name}" in words
    assert second.startswith("# ")
    with session():
        multirun = "-m" in words
        planned = ["dry_run=true"] if name in RECIPES else []
        plans = plan_request([word for word in words if word != "-m"] + planned, multirun).plans
    assert plans
    found = [finding for plan in plans for finding in plan.findings]
    assert [finding for finding in found if name not in RECIPES or finding.severity == "error"] == []


@pytest.mark.parametrize("file", sorted(CONF.glob("dataset/*.yaml")), ids=lambda file: file.stem)
def test_a_dataset_of_the_hub_is_named_after_it_and_says_where_it_is(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    if repo := content.get("repo"):
        assert file.read_text().startswith(f"# https://huggingface.co/datasets/{repo}: ")
        assert file.stem.removesuffix("_v4") == repo.partition("/")[2].lower()  # LiveCodeBench: one of its releases
        roles = [content.get(role) for role in ("prompt", "answer", "messages", "completion") if content.get(role)]
        assert set(roles) <= set(content["columns"] or roles)
        assert {"config", "split"} <= content.keys() and ("test" in content or content.get("test_split"))


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF)))
def test_a_file_says_what_it_is_and_names_what_exists(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(("# ", "defaults: ["))
    content = yaml.safe_load(text)
    inner = content.get(file.stem, content) if file.parent.name in LISTS else content
    if "_target_" in inner:
        assert exists(inner["_target_"])
    if file.parent.parent == CONF and file.parent.name not in ("trainer", *LISTS):
        assert content["name"] == file.stem
