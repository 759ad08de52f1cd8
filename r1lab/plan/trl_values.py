"""Values of TRL's fields that its code refuses only once the model is loaded, or takes in silence and does nothing.

The words that a field knows are read from the installed source: a field's declared choices, else what the trainer's
code compares it with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from r1lab.config.source import compared_with, field_metadata
from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest, some

CODE = {"GRPOConfig": "trl.trainer.grpo_trainer", "SFTConfig": "trl.trainer.sft_trainer"}
WORDS = (  # text fields whose values TRL knows by name
    "loss_type",
    "scale_rewards",
    "importance_sampling_level",
    "multi_objective_aggregation",
    "vllm_mode",
    "vllm_importance_sampling_mode",
    "packing_strategy",
    "truncation_mode",
)
PLATEAUS = ("reduce_lr_on_plateau", "greedy")
EVALUATES = "r1lab evaluates by itself: eval.every=SHARE, eval.problems=NUMBER"
Rule = tuple[str, Callable[[Any, DictConfig], bool], str, str, str]  # field, when, what is wrong, nearest, fix


def _on(value: Any, _cfg: DictConfig) -> bool:
    return bool(value)


def _steps(kind: str) -> Callable[[Any, DictConfig], bool]:
    def wrong(value: Any, cfg: DictConfig) -> bool:
        by_steps = cfg.trainer.get(f"{kind}_strategy", "steps") == "steps"
        return by_steps and isinstance(value, int | float) and (value <= 0 or (value > 1 and value != int(value)))

    return wrong


RULES: tuple[Rule, ...] = (
    ("logging_steps", _steps("logging"), "logs nothing", "trainer.logging_steps=1", "or trainer.logging_strategy=no"),
    ("save_steps", _steps("save"), "keeps no checkpoint", "trainer.save_steps=100", "or trainer.save_strategy=no"),
    (
        "eval_strategy",
        lambda value, _: value not in (None, "no"),
        "needs an evaluation set of TRL's, which no run has",
        "trainer.eval_strategy=no",
        EVALUATES,
    ),
    ("do_eval", _on, "needs an evaluation set of TRL's, which no run has", "trainer.do_eval=false", EVALUATES),
    (
        "load_best_model_at_end",
        _on,
        "needs TRL's own evaluation, which no run has",
        "trainer.load_best_model_at_end=false",
        "task=eval compares checkpoints",
    ),
    (
        "lr_scheduler_type",
        lambda value, _: value in PLATEAUS,
        "follows TRL's own evaluation, which no run has",
        "trainer.lr_scheduler_type=cosine",
        "",
    ),
    (
        "remove_unused_columns",
        lambda value, cfg: bool(value) and _is_grpo(cfg),
        "takes the columns away that rewards read",
        "trainer.remove_unused_columns=false",
        "",
    ),
    (
        "auto_find_batch_size",
        lambda value, cfg: bool(value) and _is_grpo(cfg),
        "would break groups of completions apart",
        "trainer.auto_find_batch_size=false",
        "dry_run=true says which batch fits",
    ),
    (
        "sync_ref_model",
        lambda value, cfg: bool(value) and not cfg.trainer.get("beta", 0.0),
        "has no reference model to follow: beta is 0",
        "trainer.sync_ref_model=false",
        "or trainer.beta=0.04",
    ),
    (
        "log_completions_hub_repo",
        lambda value, cfg: bool(value) and not cfg.trainer.get("log_completions"),
        "pushes only completions that are logged",
        "trainer.log_completions=true",
        "",
    ),
    (
        "padding_free",
        lambda value, cfg: bool(value) and not cfg.trainer.get("packing") and cfg.trainer.get("max_length") is not None,
        "does not keep to trainer.max_length without packing",
        "trainer.packing=true",
        "or trainer.max_length=null",
    ),
    (
        "dataloader_prefetch_factor",
        lambda value, cfg: value is not None and not cfg.trainer.get("dataloader_num_workers"),
        "is of processes that load data, and there is none",
        "trainer.dataloader_num_workers=1",
        "",
    ),
    (
        "torch_empty_cache_steps",
        lambda value, _: value is not None and value < 1,
        "is no number of steps",
        "trainer.torch_empty_cache_steps=1",
        "",
    ),
    (
        "fp16",
        lambda value, cfg: bool(value) and bool(cfg.trainer.get("bf16")),
        "and trainer.bf16=true exclude each other",
        "trainer.fp16=false",
        "",
    ),
    (
        "fp16",
        lambda value, cfg: bool(value) and not cfg.trainer.get("bf16") and cfg.accelerator.device == "cpu",
        "needs a GPU",
        "trainer.fp16=false",
        "",
    ),
)


def check_trl_values(cfg: DictConfig, where: Where) -> list[Finding]:
    """One finding for each field whose value TRL would refuse in the worker, or that would do nothing."""
    trainer = cfg.get("trainer")
    if not trainer or not str(trainer._target_).startswith("trl."):
        return []
    findings = [finding for name in WORDS if (finding := _unknown_word(trainer, name, where))]
    for name, wrong, why, close, fix in RULES:
        if name in trainer and wrong(trainer[name], cfg):
            findings.append(
                Finding(f"trainer.{name}={_said(trainer[name])} {why}", where(f"trainer.{name}"), close, fix)
            )
    return findings


def _unknown_word(trainer: DictConfig, name: str, where: Where) -> Finding | None:
    """The finding for a word that TRL's code does not know."""
    value, target = trainer.get(name), str(trainer._target_)
    if value is None:
        return None
    default, listed = field_metadata(target).get(name, (None, []))
    if value == default:
        return None
    valid = sorted({*map(str, listed)} or compared_with(CODE[target.rpartition(".")[2]], name))
    if not valid or value in valid:
        return None
    close = nearest(str(value).replace("-", "_").lower(), valid)
    what = f"trainer.{name} does not know {value!r}"
    return Finding(what, where(f"trainer.{name}"), f"trainer.{name}={close}" if close else "", f"one of: {some(valid)}")


def _is_grpo(cfg: DictConfig) -> bool:
    return str(cfg.trainer._target_).endswith("GRPOConfig")


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
