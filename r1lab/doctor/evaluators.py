"""lighteval's environment: whether it is there, and in the version that r1lab speaks to."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.config.evaluating import INSTALL, LIGHTEVAL, trouble
from r1lab.doctor.check import OK, Check, there


def check_lighteval(cfg: DictConfig) -> Check:
    """Missing where the config evaluates with it; elsewhere it need not be there."""
    evaluator = cfg.get("evaluator") or {}
    needed, lacking = evaluator.get("name") == "lighteval", trouble(evaluator)
    if lacking and not needed:
        return Check("lighteval", OK, "not here, and not asked for")
    return there("lighteval", not lacking, lacking or f"{LIGHTEVAL}, in its own environment", INSTALL, needed)
