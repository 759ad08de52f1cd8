"""TRL's fields for GRPO's completions, written from the words of the engine."""

from __future__ import annotations

from omegaconf import DictConfig, open_dict

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest

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


def write_fields(cfg: DictConfig) -> None:
    """Write TRL's fields from the engine of a GRPO run; no other engine has any."""
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


def drop_written_fields(cfg: DictConfig, where: Where) -> tuple[DictConfig, list[Finding]]:
    """The config without TRL's fields that an engine says, whichever is chosen; each that is set is a finding."""
    found = [name for name in FIELDS if name in (cfg.get("trainer") or {})]
    if not found:
        return cfg, []
    kept = cfg.copy()
    findings = []
    for name in found:
        what, fix = f"trainer.{name} is written by r1lab from the engine", f"leave it out; {FIELDS[name]} says so"
        findings.append(Finding(what, where(f"trainer.{name}"), _instead(cfg, name), fix))
        with open_dict(kept.trainer):
            del kept.trainer[name]
    return kept, findings


def _instead(cfg: DictConfig, field: str) -> str:
    """The words of the engine that say what one of TRL's fields was set to."""
    trainer, value = cfg.trainer, cfg.trainer[field]
    mode = nearest(str(trainer.get("vllm_mode") or ""), MODES)
    if field.startswith("vllm_server"):
        mode = "server"
    chosen = ["engine=vllm"] if cfg.engine.name != "vllm" else []
    if field == "use_vllm" and value is False:
        return "engine=transformers"
    if field in ("use_vllm", "vllm_mode"):
        return " ".join(["engine=vllm", *([f"engine.mode={mode}"] if mode else [])])
    said = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    said = f"[{said}]" if field == "vllm_server_base_url" and value else said
    return " ".join([*chosen, *([f"engine.mode={mode}"] if mode else []), f"{FIELDS[field]}={said}"])
