"""The sandbox of a run before the run: keys, packages, endpoints and limits, and what this machine must have."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf

from r1lab.config.environment import E2B_KEY, MORPH_KEY, PISTON_ENDPOINTS, PISTON_PER_ENDPOINT, PISTON_TOKEN, lookup
from r1lab.config.source import parameters
from r1lab.errors import ConfigError, Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest, some

TREES = ("auto", "cgroup", "watcher")
LEAST_MEMORY = 16 << 20  # bytes: an interpreter takes as much
LOCAL = "r1lab.sandbox.local.LocalSandbox"
PISTON = "r1lab.providers.piston.PistonSandbox"
RENTED = {  # sandboxes on a provider's machines: name, package to import, package to install, key
    "r1lab.providers.e2b.E2BSandbox": ("e2b", "e2b_code_interpreter", "e2b-code-interpreter", E2B_KEY),
    "r1lab.providers.morph.MorphSandbox": ("morph", "morphcloud", "morphcloud", MORPH_KEY),
}
SERVER = "sandbox_server"


def check(cfg: DictConfig, where: Where) -> list[Finding]:
    """What speaks against the sandboxes that a run uses; nothing where it uses none.

    In a dry run, what this machine lacks is a warning: the run may be meant for another.
    """
    serving = cfg.task.get("name") == SERVER
    used = list(_used(cfg.get("reward"), "reward"))
    if cfg.get("benchmark"):
        used = list(_used(cfg.benchmark, "benchmark"))  # their scorers judge, no reward does
    if serving and cfg.get("sandbox"):
        used.append(("sandbox", cfg.sandbox))
    findings: list[Finding] = _check_server(cfg, where) if serving else []
    for key, sandbox in used:
        own = key if sandbox != cfg.get("sandbox") else "sandbox"
        findings += _check_keys(sandbox, own, where) + _check_limits(sandbox, own, where)
        found = _check_kind(sandbox, own, where)
        findings += [replace(item, severity="warning") for item in found] if cfg.get("dry_run") else found
    for name, reward in (cfg.get("reward") or {}).items():
        if isinstance(reward, DictConfig) and isinstance(given := reward.get("sandbox"), str):
            key = f"reward.{name}.sandbox"
            what = f"{key}={given}: the sandbox is chosen for the whole run"
            findings.append(Finding(what, where(key), f"sandbox={given}"))
    return list(dict.fromkeys(findings))


def _used(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:
    """The sandboxes of rewards, also of rewards within rewards, with their keys."""
    if not isinstance(node, DictConfig):
        return
    for name in map(str, node):
        inner = node.get(name)
        if name == "sandbox" and isinstance(inner, DictConfig):
            yield f"{key}.sandbox", inner
        else:
            yield from _used(inner, f"{key}.{name}")


def _check_kind(sandbox: DictConfig, key: str, where: Where) -> list[Finding]:
    target = str(sandbox.get("_target_"))
    try:
        if target == LOCAL:
            return _check_local(sandbox, key, where)
        if target == PISTON:
            return _check_piston(sandbox, key, where)
        if target in RENTED:
            return _check_rented(sandbox, key, where, *RENTED[target])
    except ConfigError as error:  # a .env that cannot be read
        return error.findings
    return []


def _check_keys(sandbox: DictConfig, key: str, where: Where) -> list[Finding]:
    """Whether a sandbox's file says what its class takes."""
    known = parameters(str(sandbox.get("_target_"))) or {}
    given = [str(name) for name in sandbox if name not in ("name", "_target_")] if known else []
    findings = []
    for name in given:
        if name not in known:
            close = nearest(name, known)
            what, fix = f"{key} has no {name}", f"one of: {some(known)}"
            findings.append(Finding(what, where(f"{key}.{name}"), f"{key}.{close}" if close else "", fix))
    return findings


def _check_local(sandbox: DictConfig, key: str, where: Where) -> list[Finding]:
    findings = []
    if (tree := sandbox.get("tree", "auto")) not in TREES:
        close = nearest(str(tree), TREES)
        findings.append(
            Finding(f"{key}.tree={tree} is not known", where(f"{key}.tree"), close, f"one of: {some(TREES)}")
        )
    workers = sandbox.get("workers")
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        what = f"{key}.workers={workers} is not a whole number above 0"
        findings.append(Finding(what, where(f"{key}.workers"), fix=f"{key}.workers=null: one per core"))
    python = sandbox.get("python")
    if python is not None and not os.access(str(python), os.X_OK):
        what = f"{key}.python={python} is no program that can be run"
        findings.append(Finding(what, where(f"{key}.python"), fix=f"{key}.python=null: the system's python3"))
    for path in sandbox.get("visible") or []:
        below = Path("/tmp") in Path(str(path)).parents or str(path) == "/tmp"
        if below or not Path(str(path)).exists():
            what = f"{key}.visible: {path} " + (
                "lies in /tmp, which is each program's own" if below else "is not there"
            )
            findings.append(Finding(what, where(f"{key}.visible"), fix="leave it out"))
    return findings + _check_bubblewrap(key, where)


def _check_bubblewrap(key: str, where: Where) -> list[Finding]:
    """Whether bubblewrap is there and may do what it is for; trying it takes some milliseconds."""
    path = shutil.which("bwrap")
    if path is None:
        fix = "apt install bubblewrap, or dnf install bubblewrap; or another sandbox: sandbox=piston"
        return [Finding("sandbox=local needs bubblewrap: bwrap is not on PATH", where(key), fix=fix)]
    user = [] if os.geteuid() == 0 else ["--unshare-user"]
    command = [path, "--unshare-pid", "--unshare-net", "--unshare-ipc", *user, "--ro-bind", "/", "/", "true"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding(f"sandbox=local: bubblewrap cannot be run: {error}", where(key), fix="sandbox=piston")]
    if tried.returncode == 0:
        return []
    said = tried.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    fix = "docs/sandboxes.md says what it needs (user namespaces, or root); or another sandbox: sandbox=piston"
    return [Finding(f"sandbox=local: bubblewrap is refused here: {said[0]}", where(key), fix=fix)]


def _check_rented(
    sandbox: DictConfig, key: str, where: Where, name: str, module: str, package: str, secret: str
) -> list[Finding]:
    findings = []
    if router := sandbox.get("router_url"):
        return _check_address(str(router), f"{key}.router_url", where)
    if importlib.util.find_spec(module) is None:
        what = f"sandbox={name} needs the package {package}, which is not installed"
        findings.append(Finding(what, where(key), fix='pip install "r1lab[code]"'))
    if not lookup(secret):
        what = f"sandbox={name} needs {secret}, which neither the environment nor a .env file gives"
        fix = f"export {secret}=…, or a line {secret}=… in .env; or a router: sandbox.router_url=HOST:PORT"
        findings.append(Finding(what, where(key), fix=fix))
    return findings


def _check_piston(sandbox: DictConfig, key: str, where: Where) -> list[Finding]:
    findings: list[Finding] = []
    given = sandbox.get("endpoints")
    place = where(f"{key}.endpoints")
    if not given:
        given, place = lookup(PISTON_ENDPOINTS), f"{PISTON_ENDPOINTS} in the environment or .env"
    listed = (
        [item.strip() for item in given.split(",")] if isinstance(given, str) else [str(item) for item in given or []]
    )
    listed = [item for item in listed if item]
    if not listed:
        fix = f"sandbox.endpoints=[http://HOST:PORT] or export {PISTON_ENDPOINTS}=http://HOST:PORT,… or =slurm; "
        fix += "a server: python -m r1lab task=sandbox_server"
        findings.append(Finding("sandbox=piston has no endpoint", where(key), fix=fix))
    if listed == ["slurm"] and not shutil.which("squeue"):
        what = "the workers are looked for in the Slurm queue, and squeue is not on PATH"
        findings.append(Finding(what, place, fix="sandbox.endpoints=[http://HOST:PORT]"))
    for item in listed if listed != ["slurm"] else []:
        findings += _check_address(item, "", lambda _: place)
    most = lookup(PISTON_PER_ENDPOINT)
    if sandbox.get("max_requests_per_endpoint") is None and most and not (most.isdecimal() and int(most) > 0):
        what = f"{PISTON_PER_ENDPOINT}={most} is not a whole number above 0"
        findings.append(Finding(what, "the environment or .env", fix=f"export {PISTON_PER_ENDPOINT}=4"))
    number = sandbox.get("max_requests_per_endpoint")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        what = f"{key}.max_requests_per_endpoint={number} is not a whole number above 0"
        findings.append(Finding(what, where(f"{key}.max_requests_per_endpoint"), fix="4"))
    return findings


def _check_address(address: str, key: str, where: Where) -> list[Finding]:
    """Whether an address can be one, and holds no secret."""
    place = where(key)
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.username or parts.password or parts.query:
        what = f"the address of {parts.hostname} holds a secret, which would be written into run.yaml"
        return [
            Finding(what, place.replace(address, "…"), fix=f"a token belongs into {PISTON_TOKEN}, not into an address")
        ]
    try:
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # of `port`
        fine = False
    return [] if fine else [Finding(f"{address!r} is no address of a server", place, fix="http://HOST:PORT")]


def _check_limits(sandbox: DictConfig, key: str, where: Where) -> list[Finding]:
    """Whether limits are known ones, and numbers above 0."""
    limits = sandbox.get("limits")
    if limits is None:
        return []
    if not OmegaConf.is_dict(limits):
        return [Finding(f"{key}.limits must be a mapping", where(f"{key}.limits"), fix=f"{key}.limits.seconds=5")]
    known = parameters("r1lab.sandbox.base.Limits") or {}
    findings = []
    for name, value in limits.items():
        place = where(f"{key}.limits.{name}")
        if name not in known:
            close = nearest(str(name), known)
            fix = f"one of: {some(known)}"
            what = f"{key}.limits has no {name}"
            findings.append(Finding(what, place, f"{key}.limits.{close}" if close else "", fix))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            findings.append(Finding(f"{key}.limits.{name}={value} is not a number above 0", place))
        elif known[str(name)].annotation == "int" and not isinstance(value, int):
            findings.append(Finding(f"{key}.limits.{name}={value} is not a whole number", place, str(int(value))))
        elif name == "memory" and value < LEAST_MEMORY:
            what = f"{key}.limits.memory={value} bytes: no interpreter starts with so little"
            findings.append(Finding(what, place, f"{key}.limits.memory={LEAST_MEMORY}"))
    return findings


def _check_server(cfg: DictConfig, where: Where) -> list[Finding]:
    findings = []
    sandbox = cfg.get("sandbox") or {}
    if sandbox.get("_target_") != LOCAL:
        what = f"task={SERVER} serves the sandbox of this machine, not sandbox={sandbox.get('name')}"
        findings.append(Finding(what, where("sandbox"), "sandbox=local"))
    least = {"port": 0, "queue": 0, "parallel": 1, "max_body": 1, "max_seconds": 0, "stop_seconds": 0}
    for name, low in least.items():
        value = cfg.task.get(name)
        if value is None and name == "parallel":
            continue
        wrong = isinstance(value, bool) or not isinstance(value, int | float) or value < low
        if wrong or (name == "port" and value > 65535):
            span = "from 0 to 65535" if name == "port" else f"{low} or more"
            what = f"task.{name}={value}: it is a number, {span}"
            findings.append(Finding(what, where(f"task.{name}")))
    return findings
