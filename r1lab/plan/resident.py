"""Bytes per device of what a run keeps between its steps: weights, gradients, the optimizer's states, a reference.

After Rajbhandari et al. 2020 (ZeRO: Memory Optimizations Toward Training Trillion Parameter Models), §3.1: with Φ
parameters, 16-bit weights and gradients take 2Φ bytes each, and Adam with a float32 copy K·Φ with K = 12. Over N
devices (figure 1), stage 1 leaves (2 + 2 + K/N)Φ, stage 2 (2 + (2 + K)/N)Φ, stage 3 (4 + K)Φ/N. FSDP keeps float32
weights, gradients and moments, all sharded: 16Φ/N. Without either, torch's optimizer keeps its states in the weights'
own type.
"""

from __future__ import annotations

from dataclasses import replace

from r1lab.plan.setup import Setup

MOMENTS = (  # (beginning of the optimizer's name without "paged_", moments): the others have Adam's two
    ("sgd", 0),
    ("adafactor", 0),
    ("lion", 1),
    ("rmsprop", 1),
    ("adagrad", 1),
)
BLOCK = 256  # weights that share two float32 scales in 8-bit optimizers (Dettmers et al. 2022, §2.1)
NF4 = 0.5 + 0.127 / 8  # bytes of a 4-bit weight with double quantization (Dettmers et al. 2023, §3)
BUCKET = 500_000_000  # elements of DeepSpeed's reduce and gather buckets (stages 1 and 2), by its defaults
LIVE = 1_000_000_000  # elements that stage 3 keeps gathered at once: stage3_max_live_parameters


def moment_bytes(optim: str, weight: int) -> float:
    """Bytes of an optimizer's moments per trained weight of `weight` bytes."""
    name = optim.removeprefix("paged_")
    count = next((number for start, number in MOMENTS if name.startswith(start)), 2)
    return count * (1 + 4 / BLOCK if "8bit" in name or "bnb" in name else weight)


def sharded(setup: Setup) -> int:
    """Over how many devices the weights themselves are spread."""
    whole = setup.kind == "fsdp" or (setup.kind == "zero" and setup.stage == 3)
    return setup.world if whole else 1


def weight_bytes(setup: Setup) -> float:
    """Weights of the trained model that stay on a device, with an adapter's and with autocast's copies."""
    shape = setup.shape
    base = float(shape.total * setup.weight)
    if setup.kind == "fsdp" and setup.compute < 4 and not setup.adapter:
        base = 4.0 * shape.total  # accelerate casts what is trained to float32
    if setup.adapter == "qlora":
        inside = sum(inputs * outputs * count for inputs, outputs, count in shape.linear.values())
        base = inside * NF4 + (shape.total - inside) * setup.weight
    extra = setup.trained * adapter_weight(setup) if setup.adapter else 0
    copies = 2 * shape.total if setup.mixed else 0
    return (base + extra) / sharded(setup) + copies


def adapter_weight(setup: Setup) -> int:
    """Bytes of an adapter's weight: float32 by PEFT; 16-bit, by TRL, over a quantized model and in stage 3."""
    return 2 if setup.adapter == "qlora" or (setup.kind == "zero" and setup.stage == 3) else 4


def gradient_bytes(setup: Setup) -> float:
    """Gradients of what is trained, in their weights' type; DDP has them a second time, in its buckets."""
    each = adapter_weight(setup) if setup.adapter else setup.weight
    if setup.kind == "fsdp" and setup.compute < 4:
        each = 4
    split = setup.world if setup.kind == "fsdp" or (setup.kind == "zero" and setup.stage >= 2) else 1
    return setup.trained * each * (2 if setup.kind == "ddp" and setup.world > 1 else 1) / split


def optimizer_bytes(setup: Setup) -> tuple[float, float]:
    """The optimizer's states of one process: on its device, and in its node's memory.

    DeepSpeed keeps a float32 copy of the weights besides; a paged optimizer counts as if it stayed on the device.
    """
    if setup.kind == "zero" and setup.stage >= 1:
        states = setup.trained * (4 + moment_bytes(setup.optim, 4)) / setup.world
        return (0.0, states + setup.trained * 4 / setup.world) if setup.offload else (states, 0.0)
    weight = adapter_weight(setup) if setup.adapter else 4 if setup.kind == "fsdp" else setup.weight
    states = setup.trained * moment_bytes(setup.optim, weight) / (setup.world if setup.kind == "fsdp" else 1)
    return (0.0, states) if setup.offload else (states, 0.0)


def reference_bytes(setup: Setup) -> float:
    """A second copy of the weights, for the KL term; an adapter needs none, since it can be turned off."""
    return setup.shape.total * setup.weight / sharded(setup) if setup.reference else 0.0


def gathered_bytes(setup: Setup) -> float:
    """Weights of other devices that one holds for the moment, and the buckets that gradients travel in."""
    if setup.kind == "zero" and setup.world > 1:
        if setup.stage == 3:
            return setup.compute * min(setup.shape.total, LIVE) + setup.compute * min(setup.shape.total, BUCKET)
        return 2 * setup.compute * min(setup.trained, BUCKET)
    if setup.kind == "fsdp" and setup.world > 1:  # this layer and the next, this one's gradients, embedding and head
        outer = setup.shape.embedding * (1 if setup.shape.tied else 2)
        return setup.compute * (3 * setup.shape.per_layer + outer)
    return 0.0


def whole_bytes(setup: Setup) -> float:
    """All weights at once, which sampling with a sharded model gathers (TRL's ds3_gather_for_generation)."""
    return setup.shape.total * setup.compute if sharded(setup) > 1 else 0.0


def step_bytes(setup: Setup) -> float:
    """What the optimizer's step holds besides: torch's foreach form works on a copy of all weights, the fused none."""
    if setup.kind == "zero" and setup.stage >= 1:
        return 0.0 if setup.offload else 4 * min(setup.trained / setup.world, LIVE)  # gradients in float32
    single = "8bit" in setup.optim or setup.optim in ("adamw_torch_fused", "sgd", "adafactor")
    return 0.0 if single else optimizer_bytes(replace(setup, optim="lion"))[0]  # one moment's bytes are the weights'
