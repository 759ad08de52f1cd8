"""Values that TRL or transformers would refuse in the worker are findings before it starts."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tests.command_line import CommandLine

LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")  # trl 1.16's documentation
Row = tuple[list[str], str, str]
ROWS: list[Row] = [
    (["trainer.loss_type=dpao"], "trainer.loss_type does not know 'dpao'", "trainer.loss_type=dapo"),
    (["trainer.loss_type=Dr-GRPO"], "trainer.loss_type does not know 'Dr-GRPO'", "trainer.loss_type=dr_grpo"),
    (["trainer.scale_rewards=groups"], "trainer.scale_rewards does not know 'groups'", "trainer.scale_rewards=group"),
    (
        ["trainer.importance_sampling_level=tokens"],
        "trainer.importance_sampling_level does not know 'tokens'",
        "trainer.importance_sampling_level=token",
    ),
    (
        ["trainer.multi_objective_aggregation=sum_then_normalise"],
        "trainer.multi_objective_aggregation does not know 'sum_then_normalise'",
        "trainer.multi_objective_aggregation=sum_then_normalize",
    ),
    (["task=sft", "trainer.loss_type=nl"], "trainer.loss_type does not know 'nl'", "trainer.loss_type=nll"),
    (
        ["task=sft", "trainer.packing_strategy=bdf"],
        "trainer.packing_strategy does not know 'bdf'",
        "trainer.packing_strategy=bfd",
    ),
    (["trainer.logging_steps=0"], "trainer.logging_steps=0 logs nothing", "trainer.logging_steps=1"),
    (["trainer.save_steps=0"], "trainer.save_steps=0 keeps no checkpoint", "trainer.save_steps=100"),
    (
        ["trainer.eval_strategy=steps"],
        "trainer.eval_strategy=steps needs an evaluation set of TRL's, which no run has",
        "trainer.eval_strategy=no",
    ),
    (
        ["trainer.do_eval=true"],
        "trainer.do_eval=true needs an evaluation set of TRL's, which no run has",
        "trainer.do_eval=false",
    ),
    (
        ["trainer.load_best_model_at_end=true"],
        "trainer.load_best_model_at_end=true needs TRL's own evaluation, which no run has",
        "trainer.load_best_model_at_end=false",
    ),
    (
        ["trainer.lr_scheduler_type=reduce_lr_on_plateau"],
        "trainer.lr_scheduler_type=reduce_lr_on_plateau follows TRL's own evaluation, which no run has",
        "trainer.lr_scheduler_type=cosine",
    ),
    (
        ["trainer.remove_unused_columns=true"],
        "trainer.remove_unused_columns=true takes the columns away that rewards read",
        "trainer.remove_unused_columns=false",
    ),
    (
        ["trainer.auto_find_batch_size=true"],
        "trainer.auto_find_batch_size=true would break groups of completions apart",
        "trainer.auto_find_batch_size=false",
    ),
    (
        ["trainer.sync_ref_model=true"],
        "trainer.sync_ref_model=true has no reference model to follow: beta is 0",
        "trainer.sync_ref_model=false",
    ),
    (
        ["trainer.log_completions_hub_repo=a/b"],
        "trainer.log_completions_hub_repo=a/b pushes only completions that are logged",
        "trainer.log_completions=true",
    ),
    (
        ["task=sft", "trainer.padding_free=true"],
        "trainer.padding_free=true does not keep to trainer.max_length without packing",
        "trainer.packing=true",
    ),
    (
        ["trainer.dataloader_prefetch_factor=2"],
        "trainer.dataloader_prefetch_factor=2 is of processes that load data, and there is none",
        "trainer.dataloader_num_workers=1",
    ),
    (
        ["trainer.torch_empty_cache_steps=0"],
        "trainer.torch_empty_cache_steps=0 is no number of steps",
        "trainer.torch_empty_cache_steps=1",
    ),
    (["trainer.fp16=true"], "trainer.fp16=true needs a GPU", "trainer.fp16=false"),
    (
        ["trainer.fp16=true", "trainer.bf16=true"],
        "trainer.fp16=true and trainer.bf16=true exclude each other",
        "trainer.fp16=false",
    ),
    (
        ["trainer.optim=galore_adamw"],
        "trainer.optim=galore_adamw needs the package galore-torch, which is not installed",
        "",
    ),
]


@pytest.mark.parametrize(
    ("words", "what", "nearest"), ROWS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_value_that_fails_in_the_worker(words: list[str], what: str, nearest: str, r1lab: CommandLine) -> None:
    finding = r1lab.one(*words)
    assert finding["what"] == what
    assert finding.get("nearest", "") == nearest
    assert finding["where"].startswith("override trainer.")


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_trl_is_known(loss: str, r1lab: CommandLine) -> None:
    assert r1lab.accepts(f"trainer.loss_type={loss}").trainer.loss_type == loss


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_every_scaling_of_trl_is_known(scale: str, r1lab: CommandLine) -> None:
    assert r1lab.accepts(f"trainer.scale_rewards={scale}").trainer.scale_rewards == scale


def test_trl_itself_refuses_them(tmp_path: Path) -> None:
    """The words are TRL's: its config refuses some of the rows above, its code names the losses."""
    import trl

    for field, value in (("logging_steps", 0), ("auto_find_batch_size", True), ("load_best_model_at_end", True)):
        with pytest.raises(ValueError, match=field):
            trl.GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=8, **{field: value})
    code = inspect.getsource(trl.GRPOTrainer)
    assert all(f'"{loss}"' in code for loss in LOSSES)


def test_vllm_without_its_package(r1lab: CommandLine) -> None:
    pytest.importorskip("trl")
    from r1lab.plan.packages import installed

    if installed("vllm"):
        pytest.skip("vLLM is installed here")
    words = ("engine=vllm", "engine.mode=server", "engine.urls=[http://h:8000]")
    finding = r1lab.one(*words)
    assert finding["what"] == "engine.mode=server needs the package vllm, which is not installed"
    assert finding["fix"].startswith("pip install ")
    plan = r1lab.plan(*words, "dry_run=true")
    assert [finding.severity for finding in plan.findings] == ["warning"]
