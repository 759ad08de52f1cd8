"""engine=vllm: vLLM in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.engines.vllm import VllmEngine
from r1lab.generation.engines import Ready
from r1lab.generation.for_vllm import for_vllm, saved
from r1lab.models.identity import identity_of
from r1lab.terminal import lengthy


@contextmanager
def ready(cfg: DictConfig, folder: Path) -> Iterator[Ready]:
    """See `engines.ready`."""
    where, tokenizer, ends = for_vllm(cfg.model)
    with lengthy(f"starting vLLM with model {cfg.model.name} from {where}"):
        engine = VllmEngine(where, tokenizer, ends, arguments(cfg, saved(tokenizer, folder)))
    try:
        identity = {"engine": "vllm", **identity_of(cfg.model, where, tokenizer)}
        yield Ready(engine, identity, engine.context, tokenizer)
    finally:
        engine.close()


def arguments(cfg: DictConfig, tokenizer: str) -> dict[str, Any]:
    """The arguments of vllm.LLM beside the model, from a run's words."""
    settings = cfg.engine
    words = {
        "tokenizer": tokenizer,
        "dtype": cfg.model.dtype,
        "revision": None if cfg.model.path or cfg.model.build else cfg.model.revision,
        "tensor_parallel_size": settings.tensor_parallel,
        "pipeline_parallel_size": settings.pipeline_parallel,
        "data_parallel_size": settings.data_parallel,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "max_model_len": settings.max_model_len,
        "generation_config": "vllm",
        "disable_log_stats": True,
    }
    if cfg.accelerator.device == "cpu" and settings.tensor_parallel * settings.pipeline_parallel == 1:
        words["distributed_executor_backend"] = "uni"
    given: Any = OmegaConf.to_container(settings.arguments, resolve=True) if settings.arguments else {}
    words |= {str(name).replace("-", "_"): value for name, value in given.items()}
    return {name: value for name, value in words.items() if value is not None}
