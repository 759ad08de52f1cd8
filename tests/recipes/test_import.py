"""Recipes of Open-R1's form as experiments: what becomes of every key, and that the experiment plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from r1lab.launch.roles import roles
from r1lab.recipes.importing import draft_of, kind_of, name_of
from r1lab.recipes.reading import Recipe, read
from r1lab.recipes.writing import experiment
from tests.command_line import CommandLine

RECIPES = Path(__file__).parent
MODEL = "model_name_or_path: Qwen/Qwen2.5-1.5B-Instruct\n"
GRPO = MODEL + "dataset_name: open-r1/OpenR1-Math-220k\nnum_generations: 8\n"
Write = Callable[[str, str | bytes], Path]


def imported(r1lab: CommandLine, path: Path, *words: str) -> tuple[str, Any, list[str]]:
    """What the import says, the config of the experiment that it writes, and the warnings of its plan."""
    said = r1lab("task=import_recipe", f"task.path={path}", "task.to=mine", *words)
    assert said.code == 0, said.err
    plan = r1lab.plan("experiment=mine", "dry_run=true")
    assert plan.errors == []
    return said.out, plan.cfg, [finding.what for finding in plan.findings]


def test_a_grpo_recipe(r1lab: CommandLine) -> None:
    said, cfg, warnings = imported(r1lab, RECIPES / "grpo.yaml")
    assert (cfg.task.name, cfg.model.name, cfg.dataset.name) == (
        "grpo",
        "deepseek-r1-distill-qwen-1.5b",
        "openr1-math-220k",
    )
    assert (cfg.model.dtype, cfg.model.attention, cfg.name, cfg.seed) == ("bfloat16", "auto", "third-try", 7)
    assert cfg.model.chat_template == yaml.safe_load((RECIPES / "grpo.yaml").read_text())["chat_template"]
    assert cfg.dataset.system_prompt == "Think it over first.\nThen say: <answer>…</answer>\n"
    assert (cfg.dataset.prompt, cfg.dataset.max_prompt_tokens, cfg.dataset.too_long) == ("problem", 512, "drop")
    assert {name: reward.weight for name, reward in cfg.reward.items()} == {
        "accuracy": 1.0,
        "cosine": 0.5,
        "repetition_penalty": 0.25,
        "code_format": 0.1,
    }
    cosine = cfg.reward.cosine
    assert (cosine.max_len, cosine.min_value_wrong, cosine.max_value_wrong) == (8000, -1.0, -0.5)
    assert (cosine.max_value_correct, cosine.min_value_correct) == (1.0, 0.5)  # Open-R1's own, unsaid
    assert (cfg.reward.repetition_penalty.n_grams, cfg.reward.code_format.language) == (4, "cpp")
    trainer = cfg.trainer
    assert (trainer.learning_rate, trainer.warmup_steps, trainer.scale_rewards) == (3e-6, 0.1, "none")
    assert (trainer.beta, trainer.loss_type, trainer.epsilon_high) == (0.04, "bnpo", 0.2)  # TRL's defaults of that day
    assert (cfg.engine.name, cfg.engine.mode, cfg.engine.gpus) == ("vllm", "server", 1)
    assert cfg.engine.gpu_memory_utilization == 0.7
    assert (cfg.accelerator.processes, cfg.accelerator.name) == (7, "zero3")
    (node,) = roles(cfg)
    assert node.train and node.train.devices == (0, 1, 2, 3, 4, 5, 6)
    assert node.serve and node.serve.devices == (7,)
    written = Path("experiments/mine.yaml").read_text()
    assert "  - override /engine: vllm\n" in written and "vllm_" not in written.partition("\ndefaults:")[2]
    assert "became   use_vllm → engine=vllm" in said
    assert trainer.lr_scheduler_kwargs == {"min_lr_rate": 0.1} and trainer.max_completion_length == 2048
    hub = cfg.hub
    assert (hub.name, hub.repo, hub.revision, hub.checkpoints, hub.private) == (
        "push",
        "us/Third-Try",
        "v1",
        True,
        True,
    )
    assert list(cfg.tracker) == ["wandb"]
    assert (cfg.tracker.wandb.entity, cfg.tracker.wandb.project) == ("us", "sums")
    assert cfg.eval.problems == 0 and cfg.dataset.test == 0
    assert f"dropped  vllm_device ({RECIPES / 'grpo.yaml'}:18): engine.gpus gives generation GPUs of its own" in said
    assert (
        f"unknown  lerning_rate ({RECIPES / 'grpo.yaml'}:68): neither Open-R1 nor TRL knows it; nearest: learning_rate"
        in said
    )
    assert "became   warmup_ratio → trainer.warmup_steps" in said
    assert "added    trainer.loss_type=bnpo: TRL's default then; now dapo" in said
    assert any("WANDB_API_KEY is not set" in warning for warning in warnings)


def test_an_sft_recipe(r1lab: CommandLine) -> None:
    said, cfg, _ = imported(r1lab, RECIPES / "sft.yaml", "task.kind=sft", "task.accelerator=single")
    assert (cfg.task.name, cfg.model.name, cfg.model.repo) == ("sft", "hub", "someone/Some-Base-3B")
    assert (cfg.model.eos_token, cfg.model.attention) == ("<|im_end|>", "sdpa")
    adapter = cfg.adapter
    assert (adapter.name, adapter.r, adapter.lora_alpha, adapter.target_modules) == (
        "qlora",
        32,
        64,
        ["q_proj", "v_proj"],
    )
    assert (adapter.quantisation.load_in_4bit, adapter.quantisation.load_in_8bit) == (True, False)
    assert OmegaConf.to_container(cfg.dataset.datasets) == [
        {"id": "someone/traces", "config": "math", "split": "train", "columns": ["messages"], "weight": 0.5},
        {"id": "someone/more-traces", "columns": ["messages"]},
    ]
    assert (cfg.dataset.seed, cfg.dataset.test, cfg.dataset.messages, cfg.dataset.prompt) == (3, 0.1, "messages", None)
    assert cfg.dataset.system_prompt is None
    trainer = cfg.trainer
    assert (trainer.max_length, trainer.packing, trainer.learning_rate) == (16384, True, 4e-5)
    assert (trainer.completion_only_loss, trainer.lr_scheduler_type, trainer.num_train_epochs) == (False, "linear", 3)
    assert (trainer.save_steps, trainer.save_total_limit, trainer.gradient_checkpointing) == (500, None, False)
    assert (cfg.hub.name, list(cfg.tracker), dict(cfg.reward), cfg.accelerator.processes) == ("none", [], {}, 1)
    assert "system_prompt" in said and "Open-R1 gives it to benchmarks alone, not to training" in said
    assert "supervised fine-tuning has no rewards" in said


@pytest.mark.parametrize(("name", "kind"), [("grpo", "grpo"), ("sft", "sft")])
def test_every_key_is_accounted_for_once(name: str, kind: str) -> None:
    recipe = read(RECIPES / f"{name}.yaml")
    draft = draft_of(recipe, kind, "mine")
    assert sorted([*draft.became, *draft.dropped, *draft.unknown]) == sorted(recipe.values)
    text = experiment(draft, "mine")
    for key, why in draft.dropped.items():
        assert f"#   {key}: {why[:30]}" in text
    assert "#   lerning_rate: nobody knows it; nearest: learning_rate" in text or name == "sft"


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1, max_size=60),
    number=st.floats(0, 1, exclude_min=True),
)
@example(prompt="${oc.env:HOME} \\${x} \\\\${y}", number=1e-7)
@example(prompt="1e-6", number=0.5)
@example(prompt="null", number=0.5)
@example(prompt="  # {{ no }} comment: [here]\n  indented\n\n", number=0.5)
@example(prompt="« 数 » 🧮\n- a\n", number=0.5)
@settings(deadline=None, max_examples=150)
def test_what_is_written_is_read_back(prompt: str, number: float) -> None:
    values = {"model_name_or_path": "a/b", "dataset_name": "c/d", "system_prompt": prompt, "learning_rate": number}
    text = experiment(draft_of(Recipe(Path("r.yaml"), values, {}), "grpo", "mine"), "mine")
    cfg = OmegaConf.create(text)
    assert (cfg.dataset.system_prompt, cfg.trainer.learning_rate) == (prompt, number)


def test_shipped_data_of_another_config(r1lab: CommandLine, write: Write) -> None:
    recipe = MODEL + "dataset_name: Open-R1/openr1-math-220k\ndataset_config: extended\nreward_funcs: accuracy\n"
    _, cfg, _ = imported(r1lab, write("a.yaml", recipe))
    assert (cfg.dataset.name, cfg.dataset.config, cfg.dataset.columns) == ("openr1-math-220k", "extended", None)
    assert list(cfg.reward) == ["accuracy"]
    for key, value in (("num_train_epochs", 3), ("max_completion_length", 256), ("save_steps", 500), ("beta", 0.04)):
        assert cfg.trainer[key] == value
    assert cfg.dataset.max_prompt_tokens == 512


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "use_vllm: true\nvllm_mode: colocate\nvllm_gpu_memory_utilization: 0.4",
            {
                "engine.mode": "colocate",
                "engine.gpus": None,
                "accelerator.processes": 8,
                "trainer.vllm_gpu_memory_utilization": 0.4,
            },
        ),
        (
            "use_vllm: true\nvllm_mode: colocate\nvllm_tensor_parallel_size: 2\nvllm_enable_sleep_mode: true\n"
            "vllm_server_timeout: 9",
            {"engine.tensor_parallel": 2, "engine.sleep": True, "engine.start_timeout": 1800.0},
        ),
        (
            "use_vllm: true\nvllm_max_model_len: 4096\nvllm_tensor_parallel_size: 2\nvllm_server_timeout: 60\n"
            "vllm_server_host: localhost\nvllm_server_port: 8001",
            {
                "engine.max_model_len": 4096,
                "engine.start_timeout": 60,
                "engine.tensor_parallel": 1,
                "engine.gpus": 1,
                "engine.urls": None,
                "accelerator.processes": 7,
            },
        ),
        (
            "use_vllm: true\nvllm_server_host: 10.0.0.1\nvllm_gpu_memory_utilization: 0.4",
            {
                "engine.urls": ["http://10.0.0.1:8000"],
                "engine.gpus": None,
                "engine.gpu_memory_utilization": None,
                "accelerator.processes": 8,
            },
        ),
        ("use_vllm: false\nvllm_mode: colocate", {"engine.name": "transformers"}),
        ("warmup_ratio: 0.1\nwarmup_steps: 20", {"trainer.warmup_steps": 20}),
        (
            "scale_rewards: true\nloss_type: dr_grpo\nbeta: 0.0",
            {"trainer.scale_rewards": "group", "trainer.loss_type": "dr_grpo", "trainer.beta": 0.0},
        ),
        ("epsilon: 0.1", {"trainer.epsilon": 0.1, "trainer.epsilon_high": 0.1}),
        ("callbacks: push_to_hub_revision", {"hub.name": "push", "hub.checkpoints": True}),
        ("hub_private_repo: false\npush_to_hub: yes", {"hub.private": False}),
        (
            "report_to: [wandb, tensorboard]\nwandb_run_group: g",
            {"tracker.wandb.group": "g", "tracker.tensorboard.wait": 30.0},
        ),
        (
            "use_liger_loss: true\ngroup_by_length: true",
            {"trainer.use_liger_kernel": True, "trainer.train_sampling_strategy": "group_by_length"},
        ),
        ("hub_token: hf_secret\nlearning_rate: 2e-6", {"trainer.learning_rate": 2e-6}),
    ],
)  # fmt: skip
def test_single_keys(r1lab: CommandLine, write: Write, keys: str, expected: dict[str, Any]) -> None:
    said, cfg, _ = imported(r1lab, write("a.yaml", GRPO + keys + "\n"))
    assert {key: OmegaConf.select(cfg, key) for key in expected} == expected
    assert "unknown" not in said
    assert "hf_secret" not in said + Path("experiments/mine.yaml").read_text()


CODE = MODEL + "dataset_name: open-r1/verifiable-coding-problems-python\ndataset_prompt_column: problem_statement\n"
IOI = MODEL + "dataset_name: open-r1/ioi\ndataset_prompt_column: problem\n"


def test_where_programs_run(r1lab: CommandLine, write: Write) -> None:
    keys = "reward_funcs: [code]\nparallel_code_exec_per_proc: 4\nioi_provider: piston\n"
    said, cfg, _ = imported(r1lab, write("a.yaml", CODE + keys))
    assert (cfg.sandbox.name, cfg.reward.code.num_parallel) == ("local", 4)
    assert "no reward that is chosen has it (ioi_code)" in said
    keys = "reward_funcs: [code]\ncode_provider: morph\nmorph_router_url: h:1\ne2b_router_url: h:2\n"
    said, cfg, _ = imported(r1lab, write("a.yaml", CODE + keys), "task.overwrite=true")
    assert (cfg.sandbox.name, cfg.sandbox.router_url) == ("morph", "h:1")
    assert "programs do not run at e2b" in said
    keys = "reward_funcs: [ioi_code]\nioi_provider: piston\ncode_eval_test_batch_size: -1\n"
    _, cfg, _ = imported(r1lab, write("a.yaml", IOI + keys), "task.overwrite=true")
    assert (cfg.sandbox.name, cfg.reward.ioi_code.test_batch_size) == ("piston", -1)


def test_the_kind_of_a_recipe(tmp_path: Path) -> None:
    assert kind_of(Recipe(tmp_path / "Model" / "sft" / "config.yaml", {"num_generations": 4}, {}), None) == "sft"
    assert kind_of(Recipe(tmp_path / "a.yaml", {"packing": True}, {}), None) == "sft"
    assert kind_of(Recipe(tmp_path / "a.yaml", {"packing": None, "beta": 0.1}, {}), None) == "grpo"
    assert (
        name_of(Path("recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo_code.yaml"))
        == "qwen2.5-1.5b-instruct-grpo-demo_code"
    )
    assert name_of(Path("/x/My Recipe №1.yaml")) == "my-recipe-1"


@pytest.mark.parametrize(
    ("content", "words", "what", "fix"),
    [
        ("", [], "a.yaml: holds nothing, not the keys of a recipe", "a file of lines `key: value`"),
        ("- a\n", [], "a.yaml: holds a list, not the keys of a recipe", "a file of lines `key: value`"),
        ("a: [1,\n", [], "a.yaml: not valid YAML: expected the node content, but found '<stream end>'", "check the"),
        ("a: 1\na: 2\n", [], "a.yaml: not valid YAML: found duplicate key a", "check the indentation"),
        ("1: 2\n", [], "a.yaml: the key 1 is not text", "quote it"),
        (b"a: \xff\xfe\n", [], "a.yaml: is not text in UTF-8", "save it as UTF-8"),
        ("[" * 3000, [], "a.yaml: not readable as YAML", "put the value in quotes"),
        ("a: !!python/object:os.system {}\n", [], "a.yaml: not valid YAML: could not determine a constructor", ""),
        ("compute_environment: LOCAL\n", [], "is a config of accelerate, not a recipe", "task.accelerator=zero3"),
        ("beta: 1\npacking: true\n", [], "SFT: beta is of the one, packing of the other", "task.kind=grpo or"),
        ("pass_rate_min: 0.1\n", [], "pass_rate_min is of a filter by pass rates, not of a training", "task=filter"),
        ("beta: 1\n", ["task.kind=gropo"], "there are no recipes for 'gropo'", "one of: grpo, sft"),
        ("dataset_name: a/b\nbeta: 1\n", [], "the recipe names no model", "model_name_or_path: ORG/NAME"),
        (MODEL + "beta: 1\n", [], "the recipe names no dataset", "dataset_name: ORG/NAME, or dataset_mixture:"),
        (MODEL + "beta: 1\ndataset_mixture: [a]\n", [], "dataset_mixture names no datasets", "datasets: a list of"),
        (GRPO + "reward_funcs: [acuracy]\n", [], "there is no reward 'acuracy'", "one of:"),
        (GRPO + "reward_weights: [1.0]\n", [], "reward_weights=[1.0] are not the weights of 3", "one number"),
        (GRPO + "use_vllm: 'yes'\n", [], "use_vllm is true or false, not 'yes'", ""),
        (GRPO + "model_name_or_path2: x\nreport_to: {a: 1}\n", [], "report_to takes a list of names", ""),
        (GRPO, ["task.accelerator=zero4"], "there is no accelerator 'zero4'", "one of:"),
        (GRPO, ["task.to=../../etc"], "task.to=../../etc is no name of an experiment", "small letters"),
        (GRPO, ["task.to=simplerl-math-7b"], "r1lab ships an experiment simplerl-math-7b", ""),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_one(
    r1lab: CommandLine, write: Write, content: str | bytes, words: list[str], what: str, fix: str
) -> None:
    write("a.yaml", content)
    finding = r1lab.one("task=import_recipe", "task.path=a.yaml", *words)
    assert what in finding["what"]
    assert fix in finding.get("fix", "")


def test_a_path_that_is_not_there(r1lab: CommandLine, write: Write) -> None:
    write("recipes/config_demo.yaml", GRPO)
    assert (
        r1lab.one("task=import_recipe", "task.path=recipes/config_dmo.yaml")["nearest"]
        == "task.path=recipes/config_demo.yaml"
    )
    assert "config_demo.yaml" in r1lab.one("task=import_recipe", "task.path=recipes")["fix"]
    assert r1lab.one("task=import_recipe")["what"] == "task.path has no value"


def test_an_experiment_is_not_overwritten_unasked(r1lab: CommandLine, write: Write) -> None:
    write("a.yaml", GRPO)
    mine = write("experiments/a.yaml", "# mine\n")
    finding = r1lab.one("task=import_recipe", "task.path=a.yaml")
    assert (finding["what"], finding["nearest"]) == ("experiments/a.yaml is there already", "task.to=a-2")
    assert mine.read_text() == "# mine\n"
    assert r1lab("task=import_recipe", "task.path=a.yaml", "task.overwrite=true").code == 0
    assert "override /task: grpo" in mine.read_text()


def test_a_recipe_that_does_not_plan_is_written_and_refused(r1lab: CommandLine, write: Write) -> None:
    write("a.yaml", GRPO + "per_device_train_batch_size: 5\nnum_train_epochs: many\n")
    said = r1lab("task=import_recipe", "task.path=a.yaml")
    assert said.code == 2
    assert "trainer.num_train_epochs takes a number, not 'many'" in said.err
    assert "experiments/a.yaml is there to be changed" in said.out
    assert "where    experiments/a.yaml:" in said.err
