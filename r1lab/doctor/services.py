"""Logins: whether a key is there, never which."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from r1lab.doctor.check import OK, Check, there
from r1lab.plan.logins import HOW, VARIABLES, logged_in

GATED = ("meta-llama/", "google/gemma", "mistralai/", "Idavidrein/")  # owners of repositories that ask for a login


def needed_logins(cfg: DictConfig) -> set[str]:
    """Services that the config cannot do without."""
    wanted = {"wandb"} if "wandb" in (cfg.get("tracker") or {}) else set()
    sandbox: Any = cfg.get("sandbox") or {}
    runs = any("sandbox" in reward for reward in (cfg.get("reward") or {}).values() if reward)
    if runs and sandbox.get("name") in VARIABLES and not (sandbox.get("router_url") or sandbox.get("endpoints")):
        wanted.add(str(sandbox.get("name")))
    hub, trainer = cfg.get("hub") or {}, cfg.get("trainer") or {}
    gated = [str(node.get("repo") or "").startswith(GATED) for node in (cfg.model, cfg.dataset)]
    if any(gated) or hub.get("name") == "push" or trainer.get("push_to_hub"):
        wanted.add("hub")
    return wanted


def check_logins(cfg: DictConfig) -> list[Check]:
    """One check for each service: missing where the config needs it, a warning for the Hub, which limits guests."""
    wanted = needed_logins(cfg)
    checks = []
    for service in VARIABLES:
        present = logged_in(service)
        if present or service in wanted or service == "hub":
            said = "present" if present else "not present"
            checks.append(there(f"login: {service}", present, said, HOW[service], service in wanted))
    others = [
        service for service in VARIABLES if service not in {check.name.removeprefix("login: ") for check in checks}
    ]
    if others:
        checks.append(Check("other logins", OK, f"none for {', '.join(others)}, and none asked for"))
    return checks
