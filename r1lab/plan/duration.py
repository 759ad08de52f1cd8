"""Tokens, arithmetic and hours of a training run, and how many GPUs should generate.

Arithmetic per token, by Chowdhery et al. 2022 (PaLM), appendix B: 6N + 12·L·Q·s for N parameters that the token
passes, L layers, Q width of all query heads and s tokens attended to, forward and backward together; half of the second
term under a causal mask. A third of the sum is the forward pass, which checkpointing does once more (Korthikanti et al.
2022, §5). Sampling is bound by memory: a step reads the weights and every key and value once.

The hours assume MFU and READS; nobody has measured the machine that a plan is for. Expect a factor of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from r1lab.plan.activations import kv_bytes
from r1lab.plan.devices import Gpu
from r1lab.plan.parameters import Shape

MFU = 0.40  # share of the peak that training reaches: 46 % for PaLM, 38 to 43 % for Llama 3 (its report, table 4)
READS = 0.50  # share of the bandwidth that sampling reaches
FILLED = 0.5  # completions and rows are this long on average, of what is allowed


@dataclass(frozen=True)
class Duration:
    """Seconds of one optimizer step on one GPU of the assumed speed, if it did all of the work.

    Attributes:
        training: forward and backward passes, and the passes that score completions.
        sampling: making the completions; 0 without.
    """

    training: float
    sampling: float

    @property
    def total(self) -> float:
        """Both, one after the other."""
        return self.training + self.sampling


def flops_per_token(shape: Shape, length: float) -> float:
    """Operations of a forward and backward pass per token, in rows of `length` tokens under a causal mask."""
    return 6 * (shape.active - (0 if shape.tied else shape.embedding)) + 6 * shape.layers * shape.q_width * length


def step_seconds(
    shape: Shape, gpu: Gpu, tokens: float, length: float, passes: float, completions: int = 0, together: int = 0
) -> Duration:
    """The seconds of one optimizer step.

    Args:
        shape, gpu: the model and the GPU.
        tokens: that are trained on, prompts included.
        length: of a row, on average.
        passes: forward passes' worth of arithmetic per token: 3, 4 with checkpointing, one more for each scoring.
        completions: sampled for the step; 0 for none.
        together: completions that one GPU samples at once.
    """
    training = tokens * flops_per_token(shape, length) / 3 * passes / (gpu.flops * MFU)
    if not completions:
        return Duration(training, 0.0)
    rounds = max(1.0, completions / max(together, 1))
    read = 2 * shape.active + together * kv_bytes(shape, 2) * length / 2
    return Duration(training, rounds * length * read / (gpu.bandwidth * READS))


def gpus_for_generation(duration: Duration, gpus: int, heads: int, tensor: int = 1) -> int:
    """How many of `gpus` should generate, where training and generation take turns.

    With S seconds of sampling and T of training on one GPU, g GPUs for the one and n − g for the other take
    S/g + T/(n − g), least at g = n·√S / (√S + √T). Rounded to a multiple of the tensor-parallel size, at least one.
    """
    if gpus < 2 or not duration.sampling:
        return 0
    sampling, training = math.sqrt(duration.sampling), math.sqrt(duration.training)
    ideal = gpus * sampling / (sampling + training)
    sizes = [size for size in range(tensor, gpus, tensor) if heads % tensor == 0]
    return min(sizes, key=lambda size: abs(size - ideal), default=0)
