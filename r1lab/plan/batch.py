"""Batch arithmetic: how completions or examples divide over processes, accumulation and groups."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.wording import plural


@dataclass(frozen=True)
class Batch:
    """Numbers of one optimizer step. A GRPO example is a completion.

    Attributes:
        per_device: examples in one forward pass of one process.
        processes: training processes over all nodes.
        accumulation: forward passes per optimizer step.
        steps_per_generation: forward passes that one round of generation feeds (GRPO), else 0.
        generations: completions per prompt (GRPO), else 0.
    """

    per_device: int
    processes: int
    accumulation: int
    steps_per_generation: int = 0
    generations: int = 0

    @property
    def examples(self) -> int:
        """Examples per optimizer step, over all processes: the global batch."""
        return self.per_device * self.processes * self.accumulation

    @property
    def completions_per_generation(self) -> int:
        """Completions sampled in one round of generation, over all processes."""
        return self.per_device * self.processes * self.steps_per_generation

    @property
    def prompts_per_generation(self) -> int:
        """Prompts sampled in one round of generation."""
        return self.completions_per_generation // self.generations if self.generations else 0


def world_of(accelerator: DictConfig) -> int:
    """Training processes over all nodes."""
    return int(accelerator.processes * accelerator.get("nodes", 1))


def batch_of(cfg: DictConfig) -> Batch:
    """The batch that a composed training config asks for, TRL's defaults filled in."""
    trainer = cfg.trainer
    processes = world_of(cfg.accelerator)
    per_device = trainer.get("per_device_train_batch_size", 8)
    accumulation = trainer.get("gradient_accumulation_steps", 1)
    if cfg.global_batch_size:
        accumulation = max(1, cfg.global_batch_size // (per_device * processes))
    if not str(trainer.get("_target_")).endswith("GRPOConfig"):
        return Batch(per_device, processes, accumulation)
    generation_batch = trainer.get("generation_batch_size")
    steps = trainer.get("steps_per_generation") or accumulation
    if generation_batch:
        steps = max(1, generation_batch // (per_device * processes))
    return Batch(per_device, processes, accumulation, steps, trainer.get("num_generations", 8))


def check_batch(cfg: DictConfig, where: Where) -> list[Finding]:
    """Everything about the batch that does not divide, each with the nearest numbers that do."""
    findings = []
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        value = cfg.trainer.get(name, 1)
        if value < 1:
            findings.append(Finding(f"trainer.{name} is {value}", where(f"trainer.{name}"), fix="1 or more"))
    if findings:
        return findings
    batch = batch_of(cfg)
    micro = batch.per_device * batch.processes
    wanted = cfg.global_batch_size
    if wanted is not None and (wanted < micro or wanted % micro):
        what = f"global_batch_size={wanted} is not a multiple of {micro} (per device × processes)"
        close = nearest_multiples(wanted, micro)
        findings.append(Finding(what, where("global_batch_size"), f"global_batch_size={close}"))
    if not batch.generations and not batch.steps_per_generation:
        return findings
    if batch.generations < 2:
        what = f"trainer.num_generations is {batch.generations}; a group needs at least 2 to compare"
        return [*findings, Finding(what, where("trainer.num_generations"), "trainer.num_generations=2")]
    trainer = cfg.trainer
    if trainer.get("generation_batch_size") and trainer.get("steps_per_generation"):
        what = "trainer.generation_batch_size and trainer.steps_per_generation say the same thing twice"
        findings.append(Finding(what, where("trainer.generation_batch_size"), fix="set one of them"))
    elif trainer.get("generation_batch_size") and trainer.generation_batch_size % micro:
        what = f"trainer.generation_batch_size={trainer.generation_batch_size} is not a multiple of {micro}"
        close = nearest_multiples(trainer.generation_batch_size, micro)
        findings.append(Finding(what, where("trainer.generation_batch_size"), f"trainer.generation_batch_size={close}"))
    total = batch.completions_per_generation
    if total % batch.generations:
        what = (
            f"trainer.num_generations={batch.generations} does not divide the {total} completions of one generation "
            f"({batch.per_device} per device × {plural(batch.processes, 'process')} × "
            f"{plural(batch.steps_per_generation, 'step')})"
        )
        groups = nearest_divisors(batch.generations, total)
        fix = f"or make the {total} a multiple of {batch.generations}"
        close = f"trainer.num_generations={groups}" if groups else ""
        findings.append(Finding(what, where("trainer.num_generations"), close, fix))
    return findings


def smaller_batch(cfg: DictConfig) -> list[str]:
    """Words for the next smaller per-device batch at the same global batch; none where there is none.

    Only divisors of the present one come into question: every other number of a step stays as it is, the completions
    of a generation and how they divide into groups among them.
    """
    if not cfg.get("trainer"):
        return []
    batch = batch_of(cfg)
    divisors = [size for size in range(1, batch.per_device) if batch.per_device % size == 0]
    if not divisors:
        return []
    factor = batch.per_device // divisors[-1]
    words = [f"trainer.per_device_train_batch_size={divisors[-1]}"]
    words.append(f"trainer.gradient_accumulation_steps={batch.accumulation * factor}")
    if steps := cfg.trainer.get("steps_per_generation"):
        words.append(f"trainer.steps_per_generation={steps * factor}")
    return words


def nearest_multiples(value: int, unit: int) -> str:
    """The positive multiples of `unit` on both sides of `value`, as text."""
    below, above = value // unit * unit, -(-value // unit) * unit
    return " or ".join(str(item) for item in sorted({max(below, unit), max(above, unit)}))


def nearest_divisors(value: int, total: int) -> str:
    """The divisors of `total` (2 or more) on both sides of `value`, as text."""
    divisors = [item for item in range(2, total + 1) if total % item == 0]
    below = [item for item in divisors if item < value][-1:]
    above = [item for item in divisors if item > value][:1]
    return " or ".join(str(item) for item in below + above)
