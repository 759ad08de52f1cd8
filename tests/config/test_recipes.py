"""Published recipes against the figures they were published with, and against the planner."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from r1lab.config.experiments import EXPERIMENTS
from tests.command_line import CommandLine

DEMO = "openr1-math-220k"
SFT: dict[str, tuple[Any, ...]] = {  # model, dataset, rate, epochs, per device × accumulation, length, sharding
    "openr1-distill-7b": ("qwen2.5-math-7b-rope-300k", "mixture-of-thoughts", 4e-5, 5, (2, 8), 32768, "zero3"),
    "olympiccoder-7b": ("qwen2.5-coder-7b-instruct", "codeforces-cots", 1e-5, 10, (2, 8), 32768, "zero3"),
    "olympiccoder-32b": ("qwen2.5-coder-32b-instruct", "codeforces-cots", 4e-5, 10, (1, 1), 22528, "fsdp"),
    "qwen2.5-1.5b-sft": ("qwen2.5-1.5b-instruct", DEMO, 1e-5, 1, (16, 1), 16384, "zero3"),
    "qwen2.5-1.5b-sft-mot": ("qwen2.5-1.5b-instruct", "mixture-of-thoughts", 4e-5, 1, (16, 1), 32768, "zero3"),
}
GRPO: dict[
    str, tuple[Any, ...]
] = {  # model, dataset, rewards, rate, group, per device × accumulation, prompt, completion, β
    "qwen2.5-1.5b-grpo": (
        *("qwen2.5-1.5b-instruct", DEMO, {"accuracy": 1, "format": 1, "tag_count": 1}),
        *(2e-5, 16, (16, 4), 512, 1024, 0.04),
    ),
    "r1-distill-1.5b-grpo": (
        *("deepseek-r1-distill-qwen-1.5b", DEMO, {"accuracy": 1, "format": 1, "tag_count": 1}),
        *(1e-6, 16, (16, 4), 512, 2048, 0.04),
    ),
    "qwen2.5-1.5b-grpo-code": (
        *("qwen2.5-1.5b-instruct", "verifiable-coding-problems-python", {"code": 1, "format": 0.1}),
        *(5e-6, 14, (16, 4), 1024, 2048, 0.01),
    ),
    "qwen2.5-1.5b-grpo-ioi": (
        *("qwen2.5-1.5b-instruct", "ioi", {"ioi_code": 1, "code_format": 0.1, "format": 0.1}),
        *(5e-6, 14, (16, 4), 1024, 2048, 0.01),
    ),
    "coder-7b-grpo-codeforces": (
        *("qwen2.5-coder-7b-instruct", "codeforces", {"cf_code": 1, "code_format": 0.1}),
        *(1e-6, 16, (4, 32), 2000, 8192, 0.0),
    ),
    "simplerl-math-7b": (
        *("qwen2.5-math-7b", "math-lighteval", {"accuracy": 1, "format": 1}),
        *(3e-6, 7, (16, 8), 512, 1024, 0.04),
    ),
}
MORE: dict[str, dict[str, Any]] = {
    "openr1-distill-7b": {"warmup_steps": 0.03, "max_grad_norm": 0.2, "use_liger_kernel": True, "packing": False},
    "olympiccoder-7b": {"warmup_steps": 0.03, "max_grad_norm": 0.2, "use_liger_kernel": True},
    "olympiccoder-32b": {"optim": "paged_adamw_8bit", "save_only_model": True, "use_liger_kernel": False},
    "qwen2.5-1.5b-sft": {"packing": True},
    "qwen2.5-1.5b-sft-mot": {"warmup_steps": 0.05, "save_steps": 100, "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
    "qwen2.5-1.5b-grpo": {"lr_scheduler_type": "cosine", "warmup_steps": 0.1, "loss_type": "bnpo"},
    "r1-distill-1.5b-grpo": {"temperature": 0.7, "warmup_steps": 0.1, "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
    "qwen2.5-1.5b-grpo-code": {"max_steps": 500, "save_steps": 50, "warmup_steps": 0.03, "temperature": 1.0},
    "qwen2.5-1.5b-grpo-ioi": {"max_steps": 500, "save_steps": 50, "warmup_steps": 0.03},
    "coder-7b-grpo-codeforces": {
        "loss_type": "dr_grpo",
        "scale_rewards": "none",
        "temperature": 0.7,
        "max_grad_norm": 0.2,
        "mask_truncated_completions": True,
        "num_train_epochs": 4,
        "lr_scheduler_type": "constant_with_warmup",
    },
    "simplerl-math-7b": {"lr_scheduler_type": "cosine", "warmup_steps": 0.1, "num_train_epochs": 1},
    "dapo-math-7b": {"epsilon": 0.2, "epsilon_high": 0.28, "beta": 0.0, "loss_type": "dapo", "num_generations": 16},
    "dr-grpo-math-7b": {
        "loss_type": "dr_grpo",
        "scale_rewards": "none",
        "num_generations": 8,
        "max_completion_length": 3000,
    },
}
RECIPES = sorted({*SFT, *GRPO, *MORE, "r1-zero-1.5b", "distill-qwen3-0.6b", "distill-llama-3.2-1b"})
GPUS = {"olympiccoder-32b": 128, "simplerl-math-7b": 7, "qwen2.5-1.5b-grpo-code": 7, "qwen2.5-1.5b-grpo-ioi": 7}


def config(r1lab: CommandLine, name: str) -> Any:
    plan = r1lab.plan(f"experiment={name}", "dry_run=true")
    assert plan.errors == [], plan.errors
    return plan.cfg


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_plans_and_fits_its_gpus(r1lab: CommandLine, name: str) -> None:
    cfg = config(r1lab, name)
    assert cfg.accelerator.nodes * cfg.accelerator.processes == GPUS.get(name, 8)
    assert cfg.model.dtype == "bfloat16" and cfg.trainer.bf16 and cfg.trainer.gradient_checkpointing
    for key, value in MORE.get(name, {}).items():
        found = cfg.trainer[key]
        assert (OmegaConf.to_container(found) if OmegaConf.is_config(found) else found) == value, key


@pytest.mark.parametrize("name", sorted(SFT))
def test_supervised_figures(r1lab: CommandLine, name: str) -> None:
    cfg = config(r1lab, name)
    trainer = cfg.trainer
    batch = (trainer.per_device_train_batch_size, trainer.gradient_accumulation_steps)
    found = (cfg.model.name, cfg.dataset.name, trainer.learning_rate, trainer.num_train_epochs, batch)
    assert (*found, trainer.max_length, cfg.accelerator.name) == SFT[name]
    assert trainer.completion_only_loss is False  # TRL's loss of then was over whole conversations


@pytest.mark.parametrize("name", sorted(GRPO))
def test_grpo_figures(r1lab: CommandLine, name: str) -> None:
    cfg = config(r1lab, name)
    trainer = cfg.trainer
    rewards = {key: reward.weight for key, reward in cfg.reward.items()}
    batch = (trainer.per_device_train_batch_size, trainer.gradient_accumulation_steps)
    found = (cfg.model.name, cfg.dataset.name, rewards, trainer.learning_rate, trainer.num_generations, batch)
    assert (*found, cfg.dataset.max_prompt_tokens, trainer.max_completion_length, trainer.beta) == GRPO[name]
    for field in ("beta", "loss_type", "scale_rewards", "epsilon_high", "mode"):  # never TRL's default of the day
        assert f"\n  {field}: " in (EXPERIMENTS / f"{name}.yaml").read_text()


def test_parameters_of_rewards(r1lab: CommandLine) -> None:
    assert config(r1lab, "qwen2.5-1.5b-grpo-ioi").reward.ioi_code.test_batch_size == 3
    codeforces = config(r1lab, "coder-7b-grpo-codeforces").reward.cf_code
    assert (codeforces.test_batch_size, codeforces.scoring_mode) == (-1, "weighted_sum")
    dapo = config(r1lab, "dapo-math-7b")
    assert dapo.reward.soft_overlong_punishment.soft_punish_cache == 4096
    generated = dapo.trainer.steps_per_generation * dapo.trainer.per_device_train_batch_size * 8
    assert generated == 512 * 16 and dapo.trainer.gradient_accumulation_steps * 8 == 512
    assert dapo.task.resample == 3
