"""What bears on a number: evaluator, versions, prompt, template, sampling, data. Two that differ in it are unlike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.engines.base import Sampling
from r1lab.rewards.base import MAX_FAILURES

PARTS = ("evaluator", "versions", "prompt", "template", "sampling", "data", "scorer")
PACKAGES = ("r1lab", "transformers", "torch", "math-verify", "latex2sympy2_extended")
SCORER = {
    "weight": 1.0,
    "max_failures": MAX_FAILURES,
}  # what every reward's file may say, and what holds if it does not
SEED = "seed"  # of the sampling: another draw from the same distribution


@cache
def versions(engine: str | None = None) -> dict[str, str]:
    """The versions of the packages that make or judge completions."""
    names = [*PACKAGES, *(["vllm"] if engine in ("vllm", "server") else [])]
    return {name: found for name in names if (found := _version(name))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def conditions(
    cfg: DictConfig, identity: Mapping[str, Any], sampling: Sampling, prompt: str, data: str, scorer: DictConfig
) -> dict[str, Any]:
    """What bears on the numbers of r1lab's own evaluations, for `Record.made_by`.

    Args:
        cfg: the resolved config of the run.
        identity: what tells the model's completions from another's.
        sampling: how they were drawn.
        prompt, data: digests of the prompts, and of ids and gold answers.
        scorer: its settings; where it runs is none of them.
    """
    how = {name: getattr(sampling, name) for name in ("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed")}
    settings: Any = OmegaConf.to_container(scorer, resolve=True)
    return {
        "evaluator": "native",
        "versions": versions(cfg.engine.name),
        "model": {"name": cfg.model.name, "repo": cfg.model.repo, "path": cfg.model.path, **identity},
        "prompt": prompt,
        "template": identity.get("template"),
        "sampling": {**how, "samples": sampling.n},
        "data": data,
        "own_template": cfg.model.chat_template is not None,
        "scorer": {key: value for key, value in settings.items() if key != "sandbox"},
    }


def parts_of(made_by: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a record's `made_by` that make two numbers alike; the model and the seed are none."""
    parts = {name: made_by.get(name) for name in PARTS}
    if isinstance(parts["sampling"], Mapping):
        parts["sampling"] = {key: value for key, value in parts["sampling"].items() if key != SEED}
    return parts


def fingerprint(made_by: Mapping[str, Any]) -> str:
    """12 hexadecimal digits: equal where all parts are equal."""
    text = json.dumps(parts_of(made_by), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The parts in which two records differ, said in words: ["prompt", "sampling.temperature 0.6 ≠ 1.0"]."""
    ours, theirs = parts_of(one), parts_of(other)
    said = []
    for name in PARTS:
        a, b = ours[name], theirs[name]
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            usual = SCORER if name == "scorer" else {}  # what is not written is as usual
            a, b = {**usual, **a}, {**usual, **b}
            said += [
                f"{name}.{key} {a.get(key)} ≠ {b.get(key)}" for key in sorted({*a, *b}) if a.get(key) != b.get(key)
            ]
        elif isinstance(a, Mapping) or isinstance(b, Mapping) or a is None or b is None or name in ("prompt", "data"):
            said.append(name)
        else:
            said.append(f"{name} {a} ≠ {b}" if name == "evaluator" else name)
    return said
