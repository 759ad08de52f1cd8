"""The fields of TRL's configs that a recipe sets, those that had other names then, and those that it leaves to TRL."""

from __future__ import annotations

from typing import Any

from r1lab.config.source import field_metadata, parameters
from r1lab.plan.checks import OWNED
from r1lab.plan.trl_values import EVALUATES
from r1lab.plan.upstream_words import RENAMED
from r1lab.recipes.draft import Draft
from r1lab.recipes.engine import engine
from r1lab.recipes.rewards import KEYS as OF_REWARDS
from r1lab.recipes.services import CHECKPOINTS, OF_THE_HUB, WANDB
from r1lab.recipes.sources import ADAPTERS, QUANTISATION
from r1lab.wording import nearest

CONFIGS = {"grpo": "trl.GRPOConfig", "sft": "trl.SFTConfig"}
THEN: dict[str, dict[str, Any]] = {  # defaults of TRL 0.18 and transformers 4.52, with which Open-R1 ran
    "both": {
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "num_train_epochs": 3,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "save_steps": 500,
        "save_total_limit": None,
    },
    "grpo": {
        "learning_rate": 1e-6,
        "num_generations": 8,
        "max_completion_length": 256,
        "temperature": 1.0,
        "beta": 0.04,
        "loss_type": "bnpo",
        "scale_rewards": "group",
    },
    "sft": {"learning_rate": 2e-5, "max_length": 1024, "packing": False, "completion_only_loss": False},
}
MOVED = {  # what TRL and transformers called it then → the field that does the same now
    **{key: name for key, name in RENAMED.items() if key in ("max_seq_length", "max_new_tokens")},
    "use_liger": "use_liger_kernel",
    "use_liger_loss": "use_liger_kernel",
    "vllm_max_model_len": "vllm_max_model_length",
    "vllm_guided_decoding_regex": "vllm_structured_outputs_regex",
}
OF_EVALUATION = ("eval_", "per_device_eval", "per_gpu_eval", "metric_for_best")  # how keys begin that TRL evaluates by
SPREAD = "accelerator= says how training is spread"
WITHOUT = "it has no counterpart today, and changes no result"
WHY = {  # keys that say nothing of what is trained, or what r1lab says elsewhere
    **OWNED,
    **dict.fromkeys(("do_eval", "evaluation_strategy", "load_best_model_at_end", "greater_is_better"), EVALUATES),
    "deepspeed": SPREAD,
    "fsdp": SPREAD,
    "fsdp_config": SPREAD,
    "fsdp_min_num_params": SPREAD,
    "fsdp_transformer_layer_cls_to_wrap": SPREAD,
    "accelerator_config": SPREAD,
    "no_cuda": OWNED["use_cpu"],
    "do_train": "the task says so",
    "do_predict": "the task says so",
    "trust_remote_code": "r1lab runs no code out of a model's repository",
    "pad_token": "padding enters no loss: the tokenizer's own is used",
    "dataset_num_proc": "r1lab prepares the rows itself",
    "dataset_kwargs": "r1lab prepares the rows itself",
    "dataset_batch_size": "r1lab prepares the rows itself",
    "dataset_streaming": "rows are looked at and counted before the run",
    "gradient_checkpointing_use_reentrant": "Open-R1 never reads it: gradient_checkpointing_kwargs does that",
    "ignore_bias_buffers": "Open-R1 never reads it",
    "log_completions": "completions/ keeps samples of every run, with every reward",
    "num_completions_to_print": "completions/ keeps samples of every run, with every reward",
    "logging_dir": "trackers write into the run's folder",
    "vllm_device": "engine.gpus gives generation GPUs of its own",
    "vllm_dtype": "vLLM takes the model's own type",
    "push_to_hub_model_id": OWNED["hub_model_id"],
    "push_to_hub_organization": OWNED["hub_model_id"],
    "bnb_4bit_quant_storage": "bitsandbytes' own is used",
    **dict.fromkeys(
        (
            *("save_safetensors", "use_mps_device", "jit_mode_eval", "use_ipex", "fp16_opt_level", "fp16_backend"),
            *("half_precision_backend", "tpu_num_cores", "tpu_metrics_debug", "past_index", "mp_parameters"),
            *("use_legacy_prediction_loop", "include_inputs_for_metrics", "torchdynamo", "ray_scope"),
            *("include_tokens_per_second", "average_tokens_across_devices", "sync_ref_model_mixup"),
        ),
        WITHOUT,
    ),
}
ELSEWHERE = (  # keys that the other modules of this room read
    *("model_name_or_path", "model_revision", "torch_dtype", "dtype", "attn_implementation", "chat_template"),
    *("eos_token", "use_peft", "load_in_4bit", "load_in_8bit", "lora_target_modules", *ADAPTERS, *QUANTISATION),
    *("dataset_name", "dataset_config", "dataset_train_split", "dataset_test_split", "dataset_mixture"),
    *("dataset_prompt_column", "dataset_text_field", "system_prompt", "max_prompt_length", "warmup_ratio"),
    *("report_to", "run_name", "push_to_hub", "callbacks", "benchmarks", "hub_strategy", "hub_always_push"),
    *("wandb_log_unique_prompts", CHECKPOINTS, *OF_THE_HUB, *WANDB, *OF_REWARDS),
)


def trainer(draft: Draft) -> None:
    """What TRL's config takes, how completions are made, and what TRL did where nothing is said."""
    fields = parameters(CONFIGS[draft.kind]) or {}
    draft.move("seed", "seed")
    engine(draft)
    _warmup(draft)
    if draft.says("scale_rewards") and isinstance(draft.get("scale_rewards"), bool) and draft.kind == "grpo":
        draft.put("trainer.scale_rewards", "group" if draft.get("scale_rewards") else "none", "scale_rewards")
    for key in draft.left:
        now = MOVED.get(key, key)
        if key in WHY:
            draft.drop(WHY[key], key)
        elif key.startswith(OF_EVALUATION):
            draft.drop(EVALUATES, key)
        elif now in fields:
            draft.move(key, f"trainer.{now}")
        elif key == "adafactor":
            draft.put("trainer.optim", "adafactor" if draft.flag(key) else "adamw_torch", key)
        elif key == "group_by_length" and draft.flag(key):
            draft.put("trainer.train_sampling_strategy", "group_by_length", key)
        elif key == "group_by_length":
            draft.drop("it is false: rows are taken by chance", key)
        elif (
            now in (parameters(CONFIGS["grpo"]) or {}) or now in (parameters(CONFIGS["sft"]) or {}) or key in ELSEWHERE
        ):
            draft.drop(f"task={draft.kind} has no use for it", key)
        else:
            draft.unknown[key] = nearest(key, known())
    _left_to_trl(draft)


def known() -> list[str]:
    """Every key that a recipe may have."""
    fields = {**(parameters(CONFIGS["grpo"]) or {}), **(parameters(CONFIGS["sft"]) or {})}
    return sorted({*fields, *WHY, *MOVED, *ELSEWHERE})


def _warmup(draft: Draft) -> None:
    """Steps, and a share of them where no steps are said; TRL takes both in one field today."""
    if draft.get("warmup_steps"):
        draft.drop("warmup_steps takes its place", "warmup_ratio")
    elif draft.says("warmup_ratio"):
        draft.put(
            "trainer.warmup_steps", draft.get("warmup_ratio"), "warmup_ratio", "warmup_steps", remark="of all steps"
        )


def _left_to_trl(draft: Draft) -> None:
    """Write down what a recipe leaves to TRL's defaults of its day, where r1lab's or today's TRL's are others."""
    defaults = field_metadata(CONFIGS[draft.kind])
    for name, value in {**THEN["both"], **THEN[draft.kind]}.items():
        key = f"trainer.{name}"
        by_epoch = name == "save_steps" and draft.get("save_strategy", "steps") != "steps"
        if key in draft.values or by_epoch:
            continue
        now = defaults[name][0] if name in defaults else value
        draft.put(key, value, remark="TRL's default then" + (f"; now {now}" if now != value else ""))
    if draft.kind == "grpo" and "trainer.epsilon_high" not in draft.values:
        draft.put("trainer.epsilon_high", draft.get("epsilon", 0.2), remark="as epsilon: symmetric")
    if draft.kind == "grpo" and "dataset.max_prompt_tokens" not in draft.values:
        remark = "TRL's default then, which cut longer ones; here they are left out"
        draft.put("dataset.max_prompt_tokens", 512, remark=remark)
        draft.put("dataset.too_long", "drop")
    draft.put("eval.problems", 0)
