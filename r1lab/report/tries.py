"""What a sweep tried before a run went through, as its manifest lists it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from r1lab.report.records import Run
from r1lab.report.words import cut

_BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")


def tries_of(run: Run) -> str:
    """What was tried before, in words; "" for a run that went through at once."""
    tries = _tries(run)
    if not tries:
        return ""
    sizes = [" × ".join(str(item.get(name, "?")) for name in _BATCH) for item in tries]
    told = [
        f"memory ran out at {size}" if item.get("kind") == "memory" else str(item.get("cause") or "it failed")
        for item, size in zip(tries, sizes, strict=True)
    ]
    trainer = run.config.get("trainer") or {}
    now = " × ".join(str(trainer.get(name, "?")) for name in _BATCH)
    ends = f"; now {now}" if any(item.get("kind") == "memory" for item in tries) else ""
    return cut(f"tried before: {'; '.join(told)}{ends}", 300)


def _tries(run: Run) -> list[dict[str, Any]]:
    return [item for item in run.manifest.get("tries") or [] if isinstance(item, dict)]


def as_asked(run: Run) -> Run:
    """The run with the batch that was asked for, where memory ran out and it took a smaller one."""
    first = next((item for item in _tries(run) if item.get("kind") == "memory"), None)
    trainer = run.config.get("trainer")
    if first is None or not isinstance(trainer, dict):
        return run
    asked = {name: first[name] for name in _BATCH if name in first}
    if (steps := trainer.get("steps_per_generation")) and trainer.get(_BATCH[0]) and first.get(_BATCH[0]):
        asked["steps_per_generation"] = steps * trainer[_BATCH[0]] // first[_BATCH[0]]
    return replace(run, config={**run.config, "trainer": {**trainer, **asked}})
