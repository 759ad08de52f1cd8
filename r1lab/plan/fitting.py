"""Whether a run fits its devices, and if not, the nearest choices that do.

Choices are tried in the order in which they cost least: the same step in smaller pieces, recomputing, giving vLLM less,
spreading over the declared GPUs, offloading, training an adapter; then two of them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from omegaconf import DictConfig

from r1lab import hardware
from r1lab.errors import Finding
from r1lab.plan.accelerators import severity_here
from r1lab.plan.activations import kv_bytes
from r1lab.plan.batch import batch_of
from r1lab.plan.fields import Where
from r1lab.plan.memory import GIB, SHORTEST, Memory, memory_of
from r1lab.plan.parameters import Shape
from r1lab.plan.resident import sharded
from r1lab.plan.setup import BYTES, Setup, setup_of
from r1lab.plan.vllm_fields import FIELDS

Choice = tuple[str, Setup]  # the words, and what they make of the setup
MOST = 3  # choices named in a message


def check_memory(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about memory: what cannot fit, and how long the rows of a batch may be where that decides it."""
    setup = setup_of(cfg)
    if setup is None or setup.memory is None:
        return []
    need = memory_of(setup)
    severity = severity_here(cfg) if setup.on_cpu else "error"
    findings = [*_check_host(cfg, need, where), *_check_vllm(cfg, setup, where)]
    if need.fits:
        return findings
    device = "this machine" if setup.on_cpu else "the GPU"
    longest = longest_rows(cfg, setup)
    if longest:
        what = (
            f"a batch of {setup.rows} rows of {setup.length} tokens needs {need.total / GIB:.0f} GiB; {device} has "
            f"{setup.memory:.0f} GiB, which hold rows of {longest} tokens"
        )
        severity = "warning"
    else:
        per = "" if setup.on_cpu else " per GPU"
        what = f"the run needs about {need.total / GIB:.0f} GiB{per} ({_largest(need)}); "
        what += f"{device} has {setup.memory:.0f} GiB"
    close = [words for words, changed in choices(cfg, setup) if memory_of(changed).fits][:MOST]
    fix = f"or {'; or '.join(close[1:])}" if close[1:] else ""
    if not close and (words := together(cfg, setup)):
        close = [words]
    if not close:
        fix = "a smaller model, or " + ("a GPU" if setup.on_cpu else "more GPUs: accelerator=zero3 accelerator.nodes=N")
    return [*findings, Finding(what, _place(where), close[0] if close else "", fix, severity)]


def _largest(need: Memory, most: int = 3) -> str:
    """The largest parts, as text."""
    parts = sorted(need.parts.items(), key=lambda part: -part[1])[:most]
    return ", ".join(f"{name} {size / GIB:.0f}" for name, size in parts)


def longest_rows(cfg: DictConfig, setup: Setup) -> int:
    """The longest rows that fit, in tokens, where a batch is padded to its longest row; 0 where too few would fit.

    Only supervised batches: completions of a group do reach their limit, and packed rows are all full.
    """
    if setup.packed or batch_of_is_grouped(cfg) or not setup.trains:
        return 0
    low, high = setup.length // SHORTEST, setup.length
    if not memory_of(replace(setup, length=low)).fits:
        return 0
    while high - low > 64:
        middle = (low + high) // 2
        low, high = (middle, high) if memory_of(replace(setup, length=middle)).fits else (low, middle)
    return low


def batch_of_is_grouped(cfg: DictConfig) -> bool:
    """Whether the batch holds completions of groups."""
    return bool(cfg.get("trainer") and batch_of(cfg).generations)


def choices(cfg: DictConfig, setup: Setup) -> list[Choice]:
    """Changes of one or two words, the mildest first."""
    singles = list(_singles(cfg, setup))
    pairs = []
    for (one, _), (other, _) in combinations(singles, 2):
        if one.partition("=")[0] == other.partition("=")[0]:
            continue
        first = dict(singles)[one]
        changed = dict(_singles(cfg, first, setup)).get(other)
        if changed:
            pairs.append((f"{one} {other}", changed))
    return [*singles, *pairs]


def together(cfg: DictConfig, setup: Setup, most: int = 5) -> str:
    """Up to `most` changes that fit together, each the one that frees most; "" where they do not. No adapter's."""
    said: list[str] = []
    current = setup
    for _ in range(most):
        keys = {words.partition("=")[0] for words in said}
        found = [
            (words, after) for words, after in _singles(cfg, current, setup) if words.partition("=")[0] not in keys
        ]
        free = [choice for choice in found if not choice[0].startswith("adapter=")]
        if not free:
            return ""
        words, current = min(free, key=lambda choice: memory_of(choice[1]).total)
        said.append(words)
        if memory_of(current).fits:
            return " ".join(said)
    return ""


def _singles(cfg: DictConfig, setup: Setup, before: Setup | None = None) -> Iterator[Choice]:
    """Single changes of a setup; `before` is the setup in whose words they are said."""
    said = before or setup
    if not setup.trains:
        for batch in (64, 16, 4, 1):
            if batch < setup.sampled:
                yield f"eval.batch={batch}", replace(setup, sampled=batch)
        return
    grouped = batch_of_is_grouped(cfg)
    for rows in sorted((item for item in range(1, said.rows) if said.rows % item == 0), reverse=True):
        factor = said.rows // rows
        words = f"trainer.per_device_train_batch_size={rows}"
        words += f" trainer.gradient_accumulation_steps={said.accumulation * factor}"
        if grouped and cfg.trainer.get("steps_per_generation"):
            words += f" trainer.steps_per_generation={cfg.trainer.steps_per_generation * factor}"
        yield words, replace(setup, rows=rows, accumulation=said.accumulation * factor)
    if not setup.checkpointing:
        yield "trainer.gradient_checkpointing=true", replace(setup, checkpointing=True)
    if setup.vllm == "colocate":
        yield f"{FIELDS['vllm_enable_sleep_mode']}=true", replace(setup, sleeps=True)
        yield f"{FIELDS['vllm_gpu_memory_utilization']}=0.3", replace(setup, share=min(setup.share, 0.3))
    if setup.sampled and not grouped and setup.sampled > 16:
        yield "eval.batch=16", replace(setup, sampled=16)
    if setup.sampled and not grouped and sharded(setup) > 1:
        yield "eval.problems=0", replace(setup, sampled=0)  # else the whole model is gathered to sample
    if not setup.on_cpu:
        yield from _spread(cfg, setup)
        yield "trainer.optim=paged_adamw_8bit", replace(setup, optim="paged_adamw_8bit")
    for name in ("lora", "qlora"):
        if not setup.adapter and not (setup.on_cpu and name == "qlora"):
            weight = BYTES.get(cfg.model.dtype, 4)
            yield f"adapter={name}", replace(setup, adapter=name, rank=16, weight=weight, reference=False)
    for length in (setup.length // 2, setup.length // 4):
        if not grouped and length >= 256:
            yield f"trainer.max_length={length}", replace(setup, length=length)


def _spread(cfg: DictConfig, setup: Setup) -> Iterator[Choice]:
    """The same GPUs, or eight where only one was declared, with more of the states spread over them."""
    world = setup.world if setup.world > 1 else 8
    shared = {"kind": "zero", "world": world, "per_node": min(world, 8), "weight": 2, "compute": 2, "mixed": False}
    for stage in (2, 3):
        if setup.kind == "fsdp" or (setup.kind == "zero" and setup.stage >= stage):
            continue
        yield f"accelerator=zero{stage}", replace(setup, **shared, stage=stage)  # type: ignore[arg-type]
    if not setup.offload and setup.kind != "fsdp":
        yield "accelerator=zero3-offload", replace(setup, **shared, stage=3, offload=True)  # type: ignore[arg-type]
    if world > 1 and setup.world > 1 and setup.kind in ("zero", "fsdp"):
        for nodes in (2, 4, 8, 16):
            if nodes > cfg.accelerator.get("nodes", 1):
                more = replace(setup, world=setup.per_node * nodes)
                yield f"accelerator.nodes={nodes}", more


def _check_host(cfg: DictConfig, need: Memory, where: Where) -> list[Finding]:
    """Offloaded states that this machine's memory would not hold: a warning, since nodes are other machines."""
    has = hardware.usable_memory_gb()
    if need.host <= has * GIB:
        return []
    what = f"a node holds {need.host / GIB:.0f} GiB of offloaded states; this machine has {has:.0f} GiB"
    return [Finding(what, _place(where), fix="nodes with more memory, or more of them", severity="warning")]


def splits(shape: Shape, size: int) -> bool:
    """Whether vLLM can split the heads over so many GPUs: key and value heads are split or repeated, but not both."""
    more, less = max(size, shape.kv_heads), min(size, shape.kv_heads)
    return shape.heads % size == 0 and more % less == 0


def _check_vllm(cfg: DictConfig, setup: Setup, where: Where) -> list[Finding]:
    """A share of the GPU that does not hold vLLM's copy of the weights and one sequence; heads that do not divide."""
    if not setup.vllm:
        return []
    shape, key = setup.shape, FIELDS["vllm_tensor_parallel_size"]
    sharing = setup.world if setup.vllm == "colocate" else shape.heads  # whose GPUs it shares must divide as well
    if not splits(shape, setup.tensor) or sharing % setup.tensor:
        whose = f"the model's {shape.heads} heads ({shape.kv_heads} of keys and values)"
        if splits(shape, setup.tensor):
            whose = f"the {setup.world} training processes it shares GPUs with"
        both = [size for size in range(1, shape.heads + 1) if splits(shape, size) and sharing % size == 0]
        close = min(both, key=lambda size: abs(size - setup.tensor))
        return [Finding(f"{key}={setup.tensor} does not divide {whose}", where(key), f"{key}={close}")]
    if setup.vllm != "colocate" or not setup.memory:
        return []
    cache = kv_bytes(shape, 2) * setup.length
    needed = (shape.total * 2 + cache) / setup.tensor + GIB  # and its own activations
    if needed > setup.share * setup.memory * GIB:
        key = FIELDS["vllm_gpu_memory_utilization"]
        what = (
            f"{key}={setup.share:g} is {setup.share * setup.memory:.0f} GiB; vLLM needs {needed / GIB:.0f} GiB of a GPU"
        )
        least = -(-needed // (setup.memory * GIB / 20)) / 20
        nearby = f"{key}={least:g}" if least < 1 else ""
        more = FIELDS["vllm_tensor_parallel_size"]
        return [Finding(what, where(key), nearby, f"more GPUs for it: {more}")]
    return []


def _place(where: Where) -> str:
    """The word that made the run large, the most telling first."""
    places = [where(key) for key in ("trainer.per_device_train_batch_size", "accelerator.name", "model.name")]
    return next((place for place in places if place.startswith("override ")), places[-1])
