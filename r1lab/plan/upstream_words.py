"""Words of TRL and transformers: what they were called before, and which values their string enums take."""

from __future__ import annotations

from r1lab.config.source import class_members

RENAMED = {  # words of older TRL and transformers versions, and what they are called now
    "warmup_ratio": "warmup_steps",
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "num_train_steps": "max_steps",
    "batch_size": "per_device_train_batch_size",
    "lr": "learning_rate",
    "kl_coef": "beta",
    "max_new_tokens": "max_completion_length",
}
ENUMS = {
    "lr_scheduler_type": "SchedulerType",
    "save_strategy": "SaveStrategy",
    "optim": "OptimizerNames",
    "hub_strategy": "HubStrategy",
    "logging_strategy": "IntervalStrategy",
    "eval_strategy": "IntervalStrategy",
}


def enum_values(name: str) -> set[str]:
    """The values of one of transformers' string enums, read from source."""
    for module in ("transformers.trainer_utils", "transformers.training_args"):
        if members := class_members(f"{module}.{name}"):
            return {str(value) for value in members.values()}
    return set()
