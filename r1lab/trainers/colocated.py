"""vLLM beside a model that is trained, where that needs more than TRL does for it.

On a CPU, vLLM packs the weights of linear layers into a form of its own once they are loaded, and has no weights left
that could be replaced; here they are kept as they are, so that the trained ones reach the layers.
"""

from __future__ import annotations

import torch


def keep_plain_weights() -> None:
    """Have vLLM's linear layers on a CPU keep and use their weights as they are loaded; called before it is started."""
    from vllm.model_executor.layers import utils

    def plain(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = plain
