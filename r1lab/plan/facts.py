"""What a dry run prints of a plan: the run, the machine, the batch, memory by part and hours, as text by section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.hardware import cores, gpus
from r1lab.launch.roles import Roles, roles
from r1lab.plan.batch import batch_of, world_of
from r1lab.plan.benchmarks import benchmark_facts
from r1lab.plan.data import described, held_out
from r1lab.plan.devices import gpu_of
from r1lab.plan.duration import FILLED, MFU, Duration, gpus_for_generation, step_seconds
from r1lab.plan.engine import SAMPLES, engine_facts
from r1lab.plan.extras import attention_facts
from r1lab.plan.folder import room_needed, size, training_bytes
from r1lab.plan.hub import told
from r1lab.plan.memory import GIB, memory_of
from r1lab.plan.model import parameters_of
from r1lab.plan.sampled import OF_ALL_ROWS, sampled_facts
from r1lab.plan.setup import prompt_tokens, setup_of
from r1lab.wording import plural

MOST_AT_ONCE = 256  # sequences that vLLM samples at once on a GPU: its max_num_seqs
Facts = dict[str, dict[str, Any]]


def facts_of(cfg: DictConfig, run_dir: Path) -> Facts:
    """Section → name → value of a run against which nothing speaks."""
    accelerator = cfg.accelerator
    count = parameters_of(cfg.model)
    facts: Facts = {
        "run": {
            "task": cfg.task.name,
            "model": f"{cfg.model.name}" + (f", {count:,} parameters" if count else ""),
            "weights from": cfg.model.path or cfg.model.repo or "built on first use, then cached",
            "attention": attention_facts(cfg),
            **({"adapter": cfg.adapter.name} if cfg.adapter.get("_target_") else {}),
            **({"benchmarks": benchmark_facts(cfg)} if cfg.get("benchmark") else _data_facts(cfg)),
            "rewards": _reward_facts(cfg),
            "trackers": ", ".join(cfg.get("tracker") or {}) or "none",
            "hub": told(cfg) or "nothing is pushed",
            "folder": str(run_dir),
            "disk": f"up to {size(room_needed(cfg))}",
        },
        "machine": {
            "device": accelerator.device,
            "here": f"{plural(gpus(), 'GPU')}, {plural(cores(), 'CPU core')}",
            "roles": _roles(cfg),
        },
    }
    if not cfg.get("trainer"):
        return facts | ({"completions": engine_facts(cfg)} if cfg.task.name in SAMPLES else {})
    facts["batch"] = _batch_facts(cfg)
    if count:
        weights, optimizer = training_bytes(count, cfg.model.dtype)
        facts["memory"] = {"weights": size(weights), "gradients": size(weights), "optimizer": size(optimizer)}
    return facts | _device_facts(cfg) | _hours_facts(cfg)


def _reward_facts(cfg: DictConfig) -> str:
    if cfg.get("benchmark"):
        return "each benchmark's scorer"
    return ", ".join(f"{name} × {item.get('weight', 1.0):g}" for name, item in (cfg.reward or {}).items()) or "none"


def _data_facts(cfg: DictConfig) -> dict[str, Any]:
    if cfg.task.name in OF_ALL_ROWS:
        return sampled_facts(cfg)
    return {"dataset": cfg.dataset.name, "held out": described(held_out(cfg))}


def _roles(cfg: DictConfig) -> str:
    if any(item.serve for item in roles(cfg)):
        return "; ".join(_role(item, cfg) for item in roles(cfg))
    if not cfg.get("trainer"):
        return "node 0: one process"
    accelerator = cfg.accelerator
    if world_of(accelerator) == 1:
        return "node 0: one training process"
    spread = accelerator.kind + (f", stage {accelerator.stage}" if accelerator.stage else "")
    offload = ", states in the nodes' memory" if accelerator.offload else ""
    return (
        f"{plural(accelerator.nodes, 'node')} × {plural(accelerator.processes, 'training process')} ({spread}{offload})"
    )


def _role(role: Roles, cfg: DictConfig) -> str:
    """What one node does, in a few words."""
    does = []
    if role.train and not cfg.get("trainer"):
        does.append(f"task={cfg.task.name}")
    elif role.train:
        does.append(f"{plural(role.train.processes, 'training process')} on {_gpus(role.train.devices)}")
    if role.serve:
        part = role.serve
        split = f"tensor {part.tensor} × pipeline {part.pipeline} × data {part.data}"
        does.append(f"vllm serve on {_gpus(part.devices)} ({split})")
    return f"node {role.node}: {', '.join(does)}"


def _gpus(devices: tuple[int, ...]) -> str:
    if not devices:
        return "the CPU"
    return f"GPU {devices[0]}" if len(devices) == 1 else f"GPUs {devices[0]}–{devices[-1]}"


def _batch_facts(cfg: DictConfig) -> dict[str, Any]:
    batch, trainer = batch_of(cfg), cfg.trainer
    unit = "completion" if batch.generations else "example"
    facts: dict[str, Any] = {
        "per step": f"{plural(batch.examples, unit)} = {batch.per_device} per device × "
        f"{plural(batch.processes, 'process')} × {batch.accumulation} accumulation"
    }
    if batch.generations:
        facts["per generation"] = (
            f"{plural(batch.prompts_per_generation, 'prompt')} × {batch.generations} = "
            f"{plural(batch.completions_per_generation, 'completion')}, used for "
            f"{plural(batch.steps_per_generation // batch.accumulation, 'step')}"
        )
        facts["longest completion"] = f"{trainer.max_completion_length} tokens"
    steps = steps_of(cfg)
    epochs = trainer.get("num_train_epochs", 3)
    facts["steps"] = steps if steps is not None else f"{plural(epochs, 'epoch')} of the dataset"
    if batch.generations:
        longest = batch.examples * trainer.max_completion_length
        facts["tokens per step"] = f"up to {longest:,} sampled"
        if steps is not None:
            facts["tokens"] = f"up to {steps * longest:,} sampled"
    elif length := trainer.get("max_length"):
        facts["tokens per step"] = f"up to {batch.examples * length:,}"
        if steps is not None:
            facts["tokens"] = f"up to {steps * batch.examples * length:,}"
    return facts


def _device_facts(cfg: DictConfig) -> Facts:
    """Memory of one device by part, in GiB; the sum is of the widest moment, so less than that of all parts."""
    setup = setup_of(cfg)
    if setup is None:
        return {}
    memory = memory_of(setup)
    rows = {name: _gib(value) for name, value in memory.parts.items()}
    rows["in all"] = f"{_gib(memory.total)}{f' of {_gib(memory.limit).strip()}' if memory.limit else ''}"
    rows["verdict"] = memory.verdict
    if memory.host:
        rows["a node's memory"] = _gib(memory.host)
    return {"this machine" if setup.on_cpu else "each GPU": rows}


def _hours_facts(cfg: DictConfig) -> Facts:
    """Hours on GPUs whose speed is known, and how many of them should generate."""
    setup, gpu = setup_of(cfg), gpu_of(cfg.accelerator)
    duration = step_duration(cfg)
    if setup is None or gpu is None or duration is None:
        return {}
    declared = (cfg.accelerator.gpus or 1) * cfg.accelerator.nodes
    batch, steps, generators = batch_of(cfg), steps_of(cfg), generators_of(cfg)
    each = duration.training / setup.world + duration.sampling / generators
    facts: dict[str, Any] = {
        "a step": f"about {each:.3g} s"
        + (f", {duration.sampling / duration.total:.0%} of it sampling" if duration.sampling else "")
    }
    if steps is not None:
        facts["GPU hours"] = f"about {steps * each * max(declared, setup.world) / 3600:.3g}"
        facts["hours"] = f"about {steps * each / 3600:.3g}"
    facts["assumed"] = f"{MFU:.0%} of {gpu.flops / 1e12:.0f} TFLOP/s, rows {FILLED:.0%} full"
    if batch.generations and declared > 1:
        share = gpus_for_generation(duration, declared, setup.shape.heads, setup.tensor)
        facts["GPUs to generate"] = f"{share} of {declared}, if they do nothing else"
    return {"hours": facts}


def step_duration(cfg: DictConfig) -> Duration | None:
    """Seconds of one optimizer step on one GPU; None where the model's or the GPU's numbers are not known."""
    setup, gpu = setup_of(cfg), gpu_of(cfg.accelerator)
    if setup is None or gpu is None or setup.on_cpu:
        return None
    batch, full = batch_of(cfg), 1.0 if setup.packed else FILLED
    prompt = prompt_tokens(cfg) if batch.generations else 0
    length = (setup.length - prompt) * full + prompt * FILLED
    passes = 4.0 if setup.checkpointing else 3.0
    if not batch.generations:
        return step_seconds(setup.shape, gpu, batch.examples * length, length, passes)
    misaligned = batch.accumulation % batch.steps_per_generation != 0
    passes += (1 if setup.vllm or misaligned else 0) + (1 if cfg.trainer.get("beta", 0.0) else 0)
    reuse = max(1, batch.steps_per_generation // batch.accumulation) * cfg.trainer.get("num_iterations", 1)
    sampled = batch.completions_per_generation // reuse
    together = min(MOST_AT_ONCE, -(-batch.completions_per_generation // generators_of(cfg)))
    return step_seconds(setup.shape, gpu, batch.examples * length, length, passes, sampled, together)


def generators_of(cfg: DictConfig) -> int:
    """GPUs that generate: those that do not train where a server has its own, else those that train."""
    setup, accelerator = setup_of(cfg), cfg.accelerator
    world = world_of(accelerator)
    if setup is None or setup.vllm != "server":
        return world
    return max(1, (accelerator.gpus or 0) * accelerator.nodes - world)


def steps_of(cfg: DictConfig) -> int | None:
    """Optimizer steps of a run, where they are known before the data is loaded."""
    trainer, batch = cfg.trainer, batch_of(cfg)
    if trainer.get("max_steps", -1) > 0:
        return int(trainer.max_steps)
    rows = cfg.dataset.get("train") or cfg.dataset.get("rows")
    if not isinstance(rows, int):
        return None
    repeat = (batch.generations or 1) * trainer.get("num_iterations", 1)
    return int(rows * repeat // batch.examples * trainer.get("num_train_epochs", 3))


def _gib(count: float) -> str:
    return f"{count / GIB:8.2f} GiB"
