"""TRL's fields for GRPO's completions, written from the words of the engine."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where

FIELDS = {  # fields of trl.GRPOConfig that r1lab writes from an engine's words, and the word
    "use_vllm": "engine=vllm",
    "vllm_mode": "engine.mode",
    "vllm_tensor_parallel_size": "engine.tensor_parallel",
    "vllm_gpu_memory_utilization": "engine.gpu_memory_utilization",
    "vllm_max_model_length": "engine.max_model_len",
    "vllm_enable_sleep_mode": "engine.sleep",
    "vllm_server_base_url": "engine.urls",
    "vllm_server_timeout": "engine.start_timeout",
}
MODES = ("colocate", "server")
BESIDE = 0.3  # of a GPU, for vLLM beside a model that is trained


def key_of(cfg: DictConfig, field: str) -> str:
    """The word that says one of TRL's fields: the engine's, or the trainer's own."""
    return FIELDS[field] if cfg.engine.name == "vllm" else f"trainer.{field}"


def write_fields(cfg: DictConfig) -> None:
    """Write TRL's fields from the engine of a GRPO run; without engine=vllm they are as the config has them."""
    engine, trainer = cfg.engine, cfg.get("trainer")
    if not trainer or cfg.task.name != "grpo" or engine.name != "vllm" or engine.mode not in MODES:
        return
    fields = {"use_vllm": True, "vllm_mode": engine.mode, "vllm_max_model_length": engine.max_model_len}
    if engine.mode == "server":
        root = str(engine.urls[0]).rstrip("/").removesuffix("/v1") if engine.urls else None
        fields |= {"vllm_server_base_url": root, "vllm_server_timeout": float(engine.start_timeout)}
    else:
        fields |= {
            "vllm_tensor_parallel_size": engine.tensor_parallel,
            "vllm_gpu_memory_utilization": engine.gpu_memory_utilization or BESIDE,
            "vllm_enable_sleep_mode": engine.sleep,
        }
    for name, value in fields.items():
        if value is not None:
            trainer[name] = value


def check_fields_written(cfg: DictConfig, where: Where) -> list[Finding]:
    """TRL's fields that a composed config sets although its engine says them."""
    if cfg.engine.name != "vllm":
        return []
    found = [name for name in FIELDS if name in (cfg.get("trainer") or {})]
    what = "trainer.{} is written by r1lab where engine=vllm"
    fix = "leave it out; {} says so"
    return [Finding(what.format(name), where(f"trainer.{name}"), fix=fix.format(FIELDS[name])) for name in found]
