"""Memory per device, by part, at the widest moment of a run, and whether it fits.

A training run passes through three moments that do not overlap: the forward and backward pass of a micro-batch, the
optimizer's step, and sampling (GRPO's completions, the evaluation). What stays through all of them is in `resident`.
Against the parts measured by torch's own tracker on shapes of real models the sum errs by less than 10 %; on a GPU add
what the allocator loses, which `RESERVE` allows for (docs/planner.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from r1lab.plan import resident
from r1lab.plan.activations import head_bytes, kv_bytes, layer_bytes, logit_bytes, working_bytes
from r1lab.plan.setup import Setup

GIB = 2**30
CONTEXT = 0.75 * GIB  # CUDA context, cuBLAS and cuDNN workspaces of a process
COLLECTIVES = 1.0 * GIB  # NCCL's buffers, where there are several processes
LIBRARIES = 1.0 * GIB  # what Python with torch, transformers and TRL takes of a machine's memory
RESERVE = 0.05  # share of the moving parts that the caching allocator loses to fragments
TIGHT = 0.92  # share of a device from which on a run may still fail
PER_DRAW = 30  # bytes per word of the vocabulary and row while a token is drawn: scores, softmax, float64 sums
SHORTEST = 4  # padded rows are rarely all as long as allowed: a batch that fits at a quarter of it may run


@dataclass(frozen=True)
class Memory:
    """Bytes per device by part, and their sum at the widest moment.

    Attributes:
        parts: name → bytes, of what stays and of each moment.
        total: the widest moment, with everything that stays.
        host: bytes that a node needs besides, for offloaded states.
        limit: bytes of the device; None where unknown.
    """

    parts: dict[str, float]
    total: float
    host: float
    limit: float | None

    @property
    def fits(self) -> bool:
        """Whether the device holds it; true where its size is not known."""
        return self.limit is None or self.total <= self.limit

    @property
    def verdict(self) -> str:
        """In words."""
        if self.limit is None:
            return "unknown: accelerator.gpu_memory=GIB says what the GPU has"
        share = self.total / self.limit
        return "does not fit" if share > 1 else f"{'tight' if share > TIGHT else 'fits'}: {share:.0%} of the device"


def memory_of(setup: Setup) -> Memory:
    """The memory of one process of a setup, and of its node where states are offloaded."""
    fixed = {
        "libraries": LIBRARIES if setup.on_cpu else CONTEXT + (COLLECTIVES if setup.world > 1 else 0),
        "weights": resident.weight_bytes(setup),
        "reference": resident.reference_bytes(setup),
    }
    moving = {"sampling": _sampling(setup)}
    host = 0.0
    if setup.trains:
        fixed["optimizer"], host = resident.optimizer_bytes(setup)
        gradients = resident.gradient_bytes(setup)
        moving = {
            "gradients": gradients,
            "forward and backward": _passing(setup, gradients),
            "optimizer step": resident.step_bytes(setup),
            "gathered": resident.gathered_bytes(setup),
            **moving,
        }
    taken = setup.share * (setup.memory or 0) * GIB if setup.vllm == "colocate" else 0.0
    widest = _widest(moving, taken, setup.sleeps)
    total = sum(fixed.values()) + widest * (1 + RESERVE) + (0 if setup.sleeps else taken)
    parts = {name: size for name, size in {**fixed, **moving, "vLLM": taken}.items() if size}
    limit = setup.memory * GIB if setup.memory else None
    return Memory(parts, total, host * setup.per_node, limit)


def _widest(moving: dict[str, float], taken: float, sleeps: bool) -> float:
    """The widest of the moments. Gradients are gone while a run samples; vLLM may give its share back meanwhile."""
    gradients, gathered = moving.get("gradients", 0.0), moving.get("gathered", 0.0)
    training = gradients + gathered + moving.get("forward and backward", 0.0)
    stepping = gradients + moving.get("optimizer step", 0.0)
    return max(training, stepping, moving["sampling"], taken if sleeps else 0.0)


def _passing(setup: Setup, gradients: float) -> float:
    """Bytes of a forward and backward pass beside weights and all gradients.

    With checkpointing a layer keeps its input alone, and one layer at a time is computed again (Chen et al. 2016). The
    head's backward pass comes first: without accumulation there are no gradients yet, and their room is free for it.
    """
    tokens, shape, e = setup.rows * setup.length, setup.shape, setup.compute
    padded = not setup.packed and setup.rows > 1
    layer = tokens * layer_bytes(shape, setup.length, e, setup.attention, padded, setup.liger, setup.mixed)
    if setup.adapter:  # PEFT casts what its matrices read to their own type
        layer += tokens * sum(inputs * resident.adapter_weight(setup) for inputs, _, _ in _adapted(setup))
    stream = tokens * shape.hidden * (4 if setup.mixed else e)
    kept = shape.layers * (stream if setup.checkpointing else layer)
    once = layer + tokens * working_bytes(shape, e) if setup.checkpointing else tokens * working_bytes(shape, e)
    head = head_bytes(shape, tokens, e, setup.on_cpu, trains_head=not setup.adapter)
    if setup.whole_logits:
        head = logit_bytes(shape, tokens, e)
    waiting = gradients if setup.accumulation == 1 and setup.world == 1 else 0.0
    return kept + max(once, head - waiting)


def _adapted(setup: Setup) -> list[tuple[int, int, int]]:
    return [size for name, size in setup.shape.linear.items() if name in setup.targets]


def _sampling(setup: Setup) -> float:
    """Bytes while the trained model itself samples: keys and values, scores, and a sharded model's weights."""
    if not setup.sampled:
        return 0.0
    cache = setup.sampled * setup.sample_length * kv_bytes(setup.shape, setup.compute)
    scores = setup.sampled * setup.shape.vocabulary * PER_DRAW
    return cache * (1 + 1 / setup.shape.layers) + scores + resident.whole_bytes(setup)
