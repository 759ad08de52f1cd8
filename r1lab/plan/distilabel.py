"""What generator=distilabel needs: a task that generates, one server, the package, and numbers that mean something."""

from __future__ import annotations

from omegaconf import DictConfig

from r1lab.config.packages import EXTRAS, installed
from r1lab.errors import Finding
from r1lab.plan.accelerators import severity_here
from r1lab.plan.fields import Where

HERE = ("localhost", "127.0.0.1", "[::1]")


def check_distilabel(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about a run that generates with distilabel; none of another one."""
    generator = cfg.get("generator") or {}
    if generator.get("name") != "distilabel":
        return []
    place, findings = where("generator"), []
    if cfg.task.name != "generate":
        what = f"task={cfg.task.name} does not generate with distilabel"
        findings.append(Finding(what, place, "task=generate", "leave generator= out"))
    if cfg.engine.name != "server":
        what = f"distilabel asks a server, and engine={cfg.engine.name} is none"
        findings.append(Finding(what, place, "engine=server", "engine=server starts one, or engine.urls=[…]"))
    elif len(cfg.engine.urls or []) > 1:
        what = f"distilabel asks one server, and engine.urls names {len(cfg.engine.urls)}"
        findings.append(Finding(what, where("engine.urls"), fix="one address, of a router; or generator=own"))
    for key in ("shard", "replicas"):
        value = generator.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            findings.append(Finding(f"generator.{key}={value} is no number from 1 on", where(f"generator.{key}")))
    ray = generator.get("ray")
    if ray not in (None, "local") and (not cfg.engine.urls or any(host in str(cfg.engine.urls) for host in HERE)):
        what = f"on Ray's other nodes, generator.ray={ray}, a server at this machine's own address is not found"
        fix = "engine.urls=[http://HOST:PORT/v1] with a name that all nodes know"
        findings.append(Finding(what, where("generator.ray"), fix=fix, severity="warning"))
    if ray is not None and not installed("ray"):
        what, fix = f"generator.ray={ray} needs ray, which is not installed", EXTRAS["ray"]
        findings.append(Finding(what, where("generator.ray"), fix=fix, severity=severity_here(cfg)))
    if not installed("distilabel"):
        what, fix = "generator=distilabel needs distilabel, which is not installed", EXTRAS["distilabel"]
        findings.append(Finding(what, place, fix=f"{fix}; or generator=own", severity=severity_here(cfg)))
    return findings
