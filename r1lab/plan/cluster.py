"""What a run asks of its cluster: words that Slurm would not take, and numbers that no partition gives."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from omegaconf import DictConfig

from r1lab.config.compose import SLURM, SLURM_LAUNCHER
from r1lab.config.schema import Cluster
from r1lab.errors import Finding, SlurmError
from r1lab.launch.roles import nodes
from r1lab.plan.fields import Where
from r1lab.plan.places import where as place_of
from r1lab.plan.words import value_of
from r1lab.slurm.commands import present
from r1lab.slurm.facts import Partition, accounts, largest_array, partitions, seconds_of
from r1lab.slurm.script import OWNED, gpus_of
from r1lab.wording import nearest, plural, some

KINDS = ("local", "slurm")
ALWAYS = ("name", "kind", "wait", "warning", "requeue")  # keys that mean nothing, and harm nothing, in a local run
TASK_ID = re.compile(r"(?<![\w'\"])(\d+_\d+)(?![\w'\"])")
JOB = re.compile(r"\d+(_\d+)?")
MEMORY = re.compile(r"\d+[KMGT]?")
OPTION = re.compile(r"[a-z][a-z-]+")


def with_cluster(words: Sequence[str]) -> list[str]:
    """The words, with `cluster=slurm` where Slurm's launcher was chosen without saying which cluster.

    An array task's id, 123_4, stays one: Hydra would read it as the number 1234.
    """
    words = [TASK_ID.sub(r"'\1'", word) if word.startswith("cluster.after=") else word for word in words]
    chosen = [word for word in words if word.startswith("hydra/launcher=")]
    if chosen[-1:] != [f"hydra/launcher={SLURM}"] or any(word.startswith("cluster=") for word in words):
        return words
    return [*words, "cluster=slurm"]


def check_cluster(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about the `cluster` node of a resolved run; what only the cluster itself knows is asked of it."""
    cluster = cfg.cluster
    if cluster.kind not in KINDS:
        close = nearest(str(cluster.kind), KINDS)
        return [
            Finding(
                f"cluster.kind={cluster.kind} is not known",
                where("cluster.kind"),
                f"cluster.kind={close}" if close else "",
                "local or slurm",
            )
        ]
    if cluster.kind == "local":
        plain = Cluster()
        given = [key for key in cluster if key not in ALWAYS and cluster[key] != getattr(plain, str(key), None)]
        return [
            Finding(
                f"cluster.{key} has no meaning in a run that starts on this machine",
                where(f"cluster.{key}"),
                fix="add cluster=slurm",
            )
            for key in given
        ]
    findings = _check_words(cfg, where)
    if findings:
        return findings
    if not present():
        what = "sbatch is not on PATH: this machine is no login node of a Slurm cluster"
        severity = "warning" if cfg.dry_run else "error"
        return [Finding(what, where("cluster"), fix="run it on a login node; or cluster=local", severity=severity)]
    try:
        return _check_partition(cfg, where) + _check_accounts(cfg, where)
    except SlurmError as error:
        severity = "warning" if cfg.dry_run else "error"
        return [Finding(str(error), where("cluster"), fix="sinfo shows whether the cluster answers", severity=severity)]


def check_evaluations(cfg: DictConfig, check: Callable[[Sequence[str]], list[Finding]], where: Where) -> list[Finding]:
    """Faults of the commands that evaluate checkpoints, which would else be found out at the first checkpoint.

    Args:
        cfg: a composed config.
        check: the findings about a command's words.
        where: where a key was said.
    """
    findings = []
    for command in (cfg.get("eval") or {}).get("checkpoints") or []:
        try:
            words = shlex.split(str(command))
        except ValueError as error:
            findings.append(
                Finding(f"eval.checkpoints: {command!r} cannot be read: {error}", where("eval.checkpoints"))
            )
            continue
        inner = [replace(item, where=f"eval.checkpoints, {item.where}") for item in check(words)]
        queued = any(word.startswith("cluster=") and word != "cluster=local" for word in words)
        if not inner and not queued and f"hydra/launcher={SLURM}" not in words:
            what = f"eval.checkpoints: {command!r} would run beside the training, on what it trains on"
            inner.append(Finding(what, where("eval.checkpoints"), fix="add cluster=slurm to it"))
        findings += inner
    return findings


def check_array(runs: int) -> list[Finding]:
    """Whether a sweep fits into one job array."""
    try:
        most = largest_array() if present() else None
    except SlurmError:  # told by `check_cluster`
        most = None
    if not most or runs <= most:
        return []
    what = f"a sweep of {plural(runs, 'run')}: this cluster's job arrays hold {most} at most (MaxArraySize)"
    return [Finding(what, "command line", fix="split it into several commands")]


def check_launcher(launcher: str, kind: str, runs: int, words: Sequence[str]) -> list[Finding]:
    """Whether Hydra's launcher and the cluster mean the same place, and whether all runs fit into the queue's array."""
    queued = launcher == SLURM_LAUNCHER
    if queued != (kind == "slurm"):
        place = place_of("hydra/launcher" if queued else "cluster.kind", words)
        what = f"cluster.kind={kind}, and hydra/launcher is {'Slurm' if queued else 'another'}'s"
        return [Finding(what, place, "cluster=slurm" if queued else f"hydra/launcher={SLURM}")]
    if queued and (named := value_of(words, "hydra.sweep.subdir")):
        what = f"hydra.sweep.subdir={named}: in a queue, a run's folder is named by its number"
        return [
            Finding(what, place_of("hydra.sweep.subdir", words), fix="leave it out; hydra.sweep.dir names the sweep")
        ]
    return check_array(runs) if queued else []


def _check_words(cfg: DictConfig, where: Where) -> list[Finding]:
    cluster = cfg.cluster
    findings = []

    def fault(key: str, what: str, close: str = "", fix: str = "") -> None:
        findings.append(Finding(f"cluster.{key}={cluster[key]}{what}", where(f"cluster.{key}"), close, fix))

    limit = None if cluster.time is None else seconds_of(cluster.time)
    if cluster.time is not None and not limit:
        fault("time", " is no time limit", fix="minutes, HOURS:MINUTES:SECONDS or DAYS-HOURS: cluster.time=1-12:00:00")
    if limit and cluster.requeue and cluster.warning >= limit:
        fault(
            "warning",
            f": the run would be told of its end before it starts; cluster.time={cluster.time} is {limit} s",
            f"cluster.warning={limit // 2}",
        )
    if cluster.memory is not None and not MEMORY.fullmatch(str(cluster.memory)):
        fault(
            "memory",
            " is no amount of memory",
            fix="a number with K, M, G or T: cluster.memory=64G; 0 is all of a node",
        )
    for key, least in (("gpus", 0), ("cpus", 1), ("parallel", 1), ("warning", 0)):
        if cluster[key] is not None and cluster[key] < least:
            fault(key, f" is below {least}", f"cluster.{key}={least}")
    for job in cluster.after:
        if not JOB.fullmatch(str(job)):
            findings.append(
                Finding(
                    f"cluster.after holds {job!r}, which is no job id",
                    where("cluster.after"),
                    fix="cluster.after=[1234,1234_5]",
                )
            )
    for key in map(str, cluster.options):
        if key.strip("-") in OWNED:
            findings.append(
                Finding(
                    f"cluster.options.{key} is set by r1lab",
                    where(f"cluster.options.{key}"),
                    fix=f"leave it out; {OWNED[key.strip('-')]} says so",
                )
            )
        elif not OPTION.fullmatch(key):
            findings.append(
                Finding(
                    f"cluster.options.{key} is no long option of sbatch",
                    where(f"cluster.options.{key}"),
                    fix="cluster.options={mail-type: END}",
                )
            )
    device = cfg.accelerator.device
    if gpus_of(cfg) and cfg.accelerator.get("gpus") and device == "cuda" and gpus_of(cfg) < cfg.accelerator.gpus:
        fault("gpus", f": the run needs {cfg.accelerator.gpus} on each node", f"cluster.gpus={cfg.accelerator.gpus}")
    return findings


def _check_partition(cfg: DictConfig, where: Where) -> list[Finding]:
    cluster, known = cfg.cluster, partitions()
    names = (
        str(cluster.partition).split(",")
        if cluster.partition
        else [name for name, item in known.items() if item.default]
    )
    for name in names:
        if name not in known:
            close = nearest(name, known)
            fix = f"one of: {some(known, like=name)}"
            return [
                Finding(
                    f"cluster.partition={name} is none of this cluster's",
                    where("cluster.partition"),
                    f"cluster.partition={close}" if close else "",
                    fix,
                )
            ]
    if not names:
        what, fix = "this cluster has no default partition, so one has to be named", f"one of: {some(known)}"
        return [Finding(what, where("cluster.partition"), "cluster.partition=" + next(iter(known), "NAME"), fix)]
    faults = [_asks_too_much(cfg, known[name], known, where) for name in names]
    return [] if any(not fault for fault in faults) else faults[0]  # a list of partitions: one of them has to fit


def _asks_too_much(cfg: DictConfig, partition: Partition, known: dict[str, Partition], where: Where) -> list[Finding]:
    cluster = cfg.cluster
    wanted = [
        ("accelerator.nodes", "nodes", nodes(cfg), partition.nodes),
        ("cluster.gpus", "GPUs on each node", gpus_of(cfg), partition.gpus),
        ("cluster.cpus", "cores on each node", cluster.cpus or 0, partition.cpus),
        ("cluster.time", "seconds", seconds_of(cluster.time or 0) or 0, partition.seconds),
    ]
    findings = []
    for key, noun, asked, most in wanted:
        if most is None or asked <= most:
            continue
        fits = [
            item.name
            for item in known.values()
            if item.up and (value := _most(item, noun)) is not None and value >= asked
        ]
        unlimited = [item.name for item in known.values() if item.up and noun == "seconds" and item.seconds is None]
        fix = f"cluster.partition={(fits + unlimited)[0]}" if fits + unlimited else f"at most {most:,} {noun}"
        what = f"{asked:,} {noun} asked for; partition {partition.name} has {most:,} at most"
        findings.append(Finding(what, where(key), fix=fix))
    if not partition.up:
        findings.append(
            Finding(
                f"partition {partition.name} is down",
                where("cluster.partition"),
                fix=f"one of: {some(item.name for item in known.values() if item.up)}",
            )
        )
    return findings


def _most(partition: Partition, noun: str) -> int | None:
    """The most of something that a partition gives."""
    of = {"nodes": partition.nodes, "GPUs on each node": partition.gpus, "cores on each node": partition.cpus}
    return of.get(noun, partition.seconds)


def _check_accounts(cfg: DictConfig, where: Where) -> list[Finding]:
    findings = []
    for key, valid in zip(("account", "qos"), accounts(), strict=True):
        value = cfg.cluster[key]
        if value and valid and value not in valid:
            close = nearest(str(value), valid)
            fix = f"one of: {some(valid, like=str(value))}"
            what = f"cluster.{key}={value} is none that you may use"
            findings.append(Finding(what, where(f"cluster.{key}"), f"cluster.{key}={close}" if close else "", fix))
    return findings
