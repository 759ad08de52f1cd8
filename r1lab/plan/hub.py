"""What speaks against a push, told without asking the Hub: names, a login, a task that leaves a model."""

from __future__ import annotations

import re
from dataclasses import replace

from omegaconf import DictConfig

from r1lab.config.logins import hub_token, offline
from r1lab.config.schema import Hub
from r1lab.errors import ConfigError, Finding
from r1lab.plan.fields import Where
from r1lab.wording import nearest

REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9_][\w./-]*", re.ASCII)
NAMES = ("none", "push")
DATASETS = ("generate", "filter", "decontaminate")  # tasks that leave a dataset
LONGEST = 96  # characters of a repository's name, the Hub's limit


def check_hub(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about the `hub` node of a resolved run; a run with hub=none has none but keys without a meaning."""
    hub = cfg.get("hub")
    if not hub:
        return []
    if hub.name not in NAMES:
        close = nearest(str(hub.name), NAMES)
        return [Finding(f"hub.name={hub.name} is not known", where("hub.name"), f"hub={close}" if close else "")]
    if hub.name == "none":
        plain = Hub()
        given = [key for key in hub if hub[key] != getattr(plain, str(key), None)]
        return [
            Finding(f"hub.{key} has no meaning while nothing is pushed", where(f"hub.{key}"), fix="add hub=push")
            for key in given
        ]
    findings = _names(cfg, where)
    if not cfg.get("trainer") and cfg.task.name not in DATASETS:
        what = f"task={cfg.task.name} trains nothing, so hub=push has no model to push"
        findings.append(Finding(what, where("hub"), fix="leave hub=push out"))
    if hub.retries < 0 or hub.wait < 0:
        key = "retries" if hub.retries < 0 else "wait"
        findings.append(Finding(f"hub.{key}={hub[key]} is below 0", where(f"hub.{key}"), f"hub.{key}=0"))
    login = _login(where)  # of this machine, and the run may be meant for another
    return findings + ([replace(item, severity="warning") for item in login] if cfg.dry_run else login)


def _names(cfg: DictConfig, where: Where) -> list[Finding]:
    findings = []
    repo, revision = cfg.hub.repo, str(cfg.hub.revision)
    if repo is not None:
        name = str(repo).rpartition("/")[2]
        odd = (
            not REPO.fullmatch(str(repo)) or "--" in name or ".." in name or name.endswith((".git", ".ipynb", "-", "."))
        )
        if odd or len(str(repo)) > LONGEST:
            close = re.sub(r"[^\w./-]+|--+|\.\.+", "-", str(repo).removesuffix(".git")).strip("-./")
            fix = f"letters, digits, - _ and . in NAME or USER/NAME, {LONGEST} characters at most"
            valid = f"hub.repo={close}" if REPO.fullmatch(close) and len(close) <= LONGEST else ""
            findings.append(Finding(f"hub.repo={repo} is no name of a repository", where("hub.repo"), valid, fix))
    parts = revision.split("/")
    if (
        not REVISION.fullmatch(revision)
        or ".." in revision
        or any(not part or part.endswith(".lock") for part in parts)
    ):
        what = f"hub.revision={revision} is no name of a branch"
        findings.append(Finding(what, where("hub.revision"), fix="letters, digits, - _ . and /: hub.revision=v1.0"))
    return findings


def _login(where: Where) -> list[Finding]:
    if offline():
        what = "HF_HUB_OFFLINE is set: nothing will be pushed while the run lasts"
        fix = "python -m r1lab task=push task.run=FOLDER pushes it later"
        return [Finding(what, "environment", fix=fix, severity="warning")]
    try:
        if hub_token():
            return []
    except ConfigError as error:
        return error.findings
    return [
        Finding(
            "hub=push needs a Hugging Face token", where("hub"), fix="export HF_TOKEN=…, or in .env, or hf auth login"
        )
    ]


def told(cfg: DictConfig) -> str:
    """Where a run will push, for its plan; "" where it will not."""
    hub = cfg.get("hub")
    if not hub or hub.name == "none":
        return ""
    repo = hub.repo or f"{cfg.model.name}-{cfg.task.name}"
    who = "" if "/" in repo else "(you)/"
    if not cfg.get("trainer"):
        return f"dataset {who}{repo}@{hub.revision}, {'private' if hub.private else 'public'}"
    also = f", checkpoints as {hub.revision}-step-…" if hub.checkpoints else ""
    return f"{who}{repo}@{hub.revision}, {'private' if hub.private else 'public'}{also}"
