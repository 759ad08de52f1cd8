"""vLLM beside a model that is trained, where that needs more than TRL does for it.

TRL lets vLLM choose the weights' type by itself, which makes half precision of single; here it samples in the type that
is trained. On a CPU, vLLM packs the weights of linear layers into a form of its own once they are loaded, and has none
left that could be replaced; here they are kept as they are, so that the trained ones reach the layers.
"""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf


def prepare(cfg: DictConfig) -> None:
    """Have the vLLM that TRL starts in this process follow the run's config; called before the trainer is made."""
    from trl.generation import vllm_generation
    from vllm import LLM

    given: Any = OmegaConf.to_container(cfg.engine.arguments, resolve=True) if cfg.engine.arguments else {}
    own = {"dtype": cfg.model.dtype, **{str(name).replace("-", "_"): value for name, value in given.items()}}
    if not cfg.model.path and cfg.model.revision:
        own["revision"] = cfg.model.revision

    def started(**options: Any) -> LLM:
        return LLM(**{**options, **own})

    vllm_generation.LLM = started
    if cfg.accelerator.device == "cpu":
        keep_plain_weights()


def keep_plain_weights() -> None:
    """Have vLLM's linear layers on a CPU keep and use their weights as they are loaded."""
    from vllm.model_executor.layers import utils

    def plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = plain
