"""Resuming: what a command may change about a run that is already in a folder."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import Finding

PLACE = ("accelerator", "debug", "dry_run", "resume", "outputs")  # where and how it runs, not what it computes
LONGER = ("trainer.max_steps", "trainer.num_train_epochs")
FOLLOWS_PLACE = ("trainer.dataloader_pin_memory",)  # r1lab derives these from the device


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested mapping by dotted key; lists are leaves."""
    if not isinstance(node, dict):
        return {prefix: node}
    return {
        key: value
        for name, item in node.items()
        for key, value in flatten(item, f"{prefix}.{name}".lstrip(".")).items()
    }


def differences(old: DictConfig, new: DictConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ between two resolved configs, with both values."""
    before, after = (flatten(OmegaConf.to_container(cfg, resolve=True)) for cfg in (old, new))
    keys = [key for key in {**before, **after} if key.split(".")[0] not in PLACE and key not in FOLLOWS_PLACE]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def check_resume(old: DictConfig, new: DictConfig, folder: str) -> list[Finding]:
    """A resumed run may be longer or run elsewhere; anything else makes it a different run."""
    findings = []
    for key, (was, asked) in differences(old, new).items():
        numbers = isinstance(was, int | float) and isinstance(asked, int | float)
        if key in LONGER and numbers and asked >= was:
            continue
        what = f"{key} was {was!r} in {folder}, now {asked!r}: that is a different run"
        fix = "leave it out to resume, or choose another folder to start anew"
        if key in LONGER:
            what, fix = f"{key} was {was!r} in {folder}; a resumed run can only be longer", f"{key}={was} or more"
        findings.append(Finding(what, key, fix=fix))
    return findings
