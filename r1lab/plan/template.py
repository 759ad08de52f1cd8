"""The model's chat template and rotary embeddings as the config says them, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

from omegaconf import DictConfig

from r1lab.config.templates import read_template
from r1lab.errors import ConfigError, Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest

SCALINGS = {  # a scaling, and what it cannot do without
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "original_context", "low_freq_factor", "high_freq_factor"),
    "longrope": ("long_factor", "short_factor", "original_context"),
}


def check_template(cfg: DictConfig, where: Where) -> list[Finding]:
    """A chat template that is not there or is no Jinja."""
    if not cfg.model.chat_template:
        return []
    try:
        read_template(str(cfg.model.chat_template), where("model.chat_template"))
    except ConfigError as error:
        return [replace(finding, where=finding.where or where("model.chat_template")) for finding in error.findings]
    return []


def check_rope(cfg: DictConfig, where: Where) -> list[Finding]:
    """A scaling that is not known or not whole."""
    rope = cfg.model.rope
    if rope.theta is not None and rope.theta <= 0:
        return [Finding(f"model.rope.theta={rope.theta} is no base frequency", where("model.rope.theta"))]
    kind = rope.type
    if kind is None:
        said = [name for name, value in rope.items() if value is not None and name != "theta"]
        what = "model.rope.{} belongs to a scaling, and model.rope.type names none"
        return [Finding(what.format(name), where(f"model.rope.{name}"), fix="model.rope.type=yarn") for name in said]
    if kind not in SCALINGS:
        close = nearest(kind, SCALINGS)
        what, nearby = f"model.rope.type does not know {kind!r}", f"model.rope.type={close}" if close else ""
        return [Finding(what, where("model.rope.type"), nearby, f"one of: {', '.join(SCALINGS)}")]
    missing = [name for name in SCALINGS[kind] if rope[name] is None]
    what = f"model.rope.type={kind} needs model.rope.{{}}"
    return [Finding(what.format(name), where("model.rope.type"), fix=f"model.rope.{name}=NUMBER") for name in missing]
