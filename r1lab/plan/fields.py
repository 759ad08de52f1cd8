"""Keys and types of a composed config: every unknown word and every value of the wrong type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from r1lab.config.annotations import accepts, in_words
from r1lab.config.references import with_references
from r1lab.config.source import (
    Parameter,
    columns_and_settings,
    parameters,
)
from r1lab.errors import Finding
from r1lab.plan.meant import meant
from r1lab.plan.targets import LOOKS, check_targets, check_trainer, declared_by, target_of
from r1lab.plan.targets import Where as Where
from r1lab.plan.upstream_words import ENUMS, RENAMED, enum_values
from r1lab.wording import nearest, some

SCHEMA = "r1lab.config"
TYPED = {
    "model": "model.Model",
    "model.rope": "model.Rope",
    "model.published_rope": "model.Rope",
    "model.experts": "model.Experts",
    "model.latent": "model.Latent",
    "dataset": "schema.Dataset",
    "adapter": "schema.Adapter",
    "engine": "schema.Engine",
    "accelerator": "schema.Accelerator",
    "cluster": "schema.Cluster",
    "eval": "schema.Eval",
    "hub": "schema.Hub",
}
PLACEHOLDERS = {"a whole number": "NUMBER", "a number": "NUMBER", "true or false": "true", "a list": "[A,B]"}
LISTS = ("reward", "tracker", "benchmark")  # groups that take a list
MOST_LISTED = 12  # known words beside a nearest one: a longer list helps nobody
FREE = (("engine", "arguments"), ("task", "stages"), ("task", "each"))  # take any key
BY_TASK = ("use",)  # parameters of a dataset's loader that the task sets


def schema_of(cfg: DictConfig) -> dict[str, dict[str, Parameter]]:
    """The known keys of every container of a config: {"": …, "model": …, "reward.accuracy": …}.

    A container that is not listed takes any key; so does one whose `_target_` is at fault, which `check_targets` tells.
    """
    run = dict(parameters(f"{SCHEMA}.schema.Run") or {})
    schema = {"": run}
    for group, name in TYPED.items():
        schema[group] = dict(parameters(f"{SCHEMA}.{name}") or {})
    schema["adapter"]["_target_"] = Parameter("_target_", "str | None", False)
    for group in ("dataset", "adapter"):
        if (declared := declared_by(cfg, group)) is not None:
            words = {name: item for name, item in declared.items() if name not in BY_TASK}
            schema[group].update({**words, "_target_": Parameter("_target_", "str", True)})
        elif target_of(cfg, group) not in ("", "???"):
            del schema[group]
    if isinstance(OmegaConf.select(cfg, "adapter.quantisation"), DictConfig):
        schema["adapter.quantisation"] = dict(parameters("transformers.BitsAndBytesConfig") or {})
    if isinstance(cfg.get("task"), DictConfig):
        schema["task"] = {str(key): Parameter(str(key), "", False) for key in cfg.task}
        for name in map(str, cfg.task):
            if (fields := declared_by(cfg, f"task.{name}")) is not None:
                schema[f"task.{name}"] = {**fields, "_target_": Parameter("_target_", "str", True)}
    for group in ("generator", "evaluator"):
        if isinstance(cfg.get(group), DictConfig):
            schema[group] = {str(key): Parameter(str(key), "", False) for key in cfg[group]}
    rewards = cfg.get("reward")
    if isinstance(rewards, DictConfig):
        schema["reward"] = {str(name): Parameter(str(name), "dict", True) for name in rewards}
        for name in map(str, rewards):
            if declared_by(cfg, f"reward.{name}") is not None:
                schema[f"reward.{name}"] = known_of_reward(target_of(cfg, f"reward.{name}"))
    schema |= schema_of_trackers(cfg) | schema_of_benchmarks(cfg)
    if (fields := declared_by(cfg, "trainer")) and not check_trainer(cfg, str):
        schema["trainer"] = {**fields, "_target_": Parameter("_target_", "str", True)}
    return schema


def schema_of_trackers(cfg: DictConfig) -> dict[str, dict[str, Parameter]]:
    """The known keys of `tracker` and of each that is chosen: its own parameters and `wait`."""
    trackers = cfg.get("tracker")
    if not isinstance(trackers, DictConfig):
        return {}
    schema = {"tracker": {str(name): Parameter(str(name), "dict", True) for name in trackers}}
    for name in map(str, trackers):
        if (own := declared_by(cfg, f"tracker.{name}")) is not None:
            common = {"_target_": Parameter("_target_", "str", True), "wait": Parameter("wait", "float", False)}
            schema[f"tracker.{name}"] = {**own, **common}
    return schema


def schema_of_benchmarks(cfg: DictConfig) -> dict[str, dict[str, Parameter]]:
    """The known keys of `benchmark`, of each that is chosen and of its scorer."""
    chosen = cfg.get("benchmark")
    if not isinstance(chosen, DictConfig):
        return {}
    schema = {"benchmark": {str(name): Parameter(str(name), "dict", True) for name in chosen}}
    for name in map(str, chosen):
        schema[f"benchmark.{name}"] = dict(parameters(f"{SCHEMA}.schema.Benchmark") or {})
        if declared_by(cfg, f"benchmark.{name}.scorer") is not None:
            schema[f"benchmark.{name}.scorer"] = known_of_reward(target_of(cfg, f"benchmark.{name}.scorer"))
    return schema


def known_of_reward(target: str) -> dict[str, Parameter]:
    """The keys that one entry of `reward` may have: the reward's own and those of every reward."""
    _, settings = columns_and_settings(target) or ({}, {})
    return {
        **settings,
        "_target_": Parameter("_target_", "str", True),
        "weight": Parameter("weight", "float", False),
        "max_failures": Parameter("max_failures", "float", False),
    }


def check_fields(cfg: DictConfig, where: Where) -> list[Finding]:
    """Unknown keys, wrong types, unresolvable interpolations and forbidden targets of a composed config."""
    findings = check_targets(cfg := with_references(cfg), where)
    schema = schema_of(cfg)
    for container, known in schema.items():
        node = OmegaConf.select(cfg, container) if container else cfg
        if not isinstance(node, DictConfig):
            continue
        for name in map(str, node):
            if not container and name == "hydra":
                continue
            key = f"{container}.{name}".lstrip(".")
            if name not in known:
                findings.append(unknown(key, name, known, where(key), cfg))
            elif OmegaConf.is_missing(node, name):
                findings.append(Finding(f"{key} has no value", where(key), fix=f"{key}=VALUE"))
            else:
                found = _check_value(key, node, name, known[name], where)
                if OmegaConf.is_interpolation(node, name):  # a fault of the value it refers to is told there
                    told = {item.what.partition(" takes ")[2] for item in findings}
                    found = [item for item in found if item.what.partition(" takes ")[2] not in told]
                findings += [item for item in found if item not in findings]
    return findings


def _check_value(key: str, node: DictConfig, name: str, parameter: Parameter, where: Where) -> list[Finding]:
    try:
        value = node[name]
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        fix = r"a text that holds ${ itself says \${" if "nterpolation" in str(error) else ""
        inner = str(getattr(error, "full_key", None) or key)  # the value itself, not what holds it
        inner = inner if inner.startswith(key) else key
        return [Finding(f"{inner} cannot be resolved: {str(error).splitlines()[0]}", where(inner), fix=fix)]
    return value_findings(key, value, parameter, where)


def value_findings(key: str, value: Any, parameter: Parameter, where: Where) -> list[Finding]:
    """Whether `value` may stand at `key`."""
    if isinstance(value, str) and "${" in value:
        return []
    name = key.rpartition(".")[2]
    if key.startswith("trainer.") and name in ENUMS and isinstance(value, str):
        valid = enum_values(ENUMS[name])
        if valid and value not in valid:
            close = nearest(value, valid)
            fix = f"one of: {some(valid)}"
            return [Finding(f"{key} does not know {value!r}", where(key), f"{key}={close}" if close else "", fix)]
        return []
    if parameter.annotation and not accepts(parameter.annotation, value):
        kinds = in_words(parameter.annotation)
        fix = f"{key}={PLACEHOLDERS.get(kinds, 'VALUE')}"
        return [Finding(f"{key} takes {kinds}, not {value!r}", where(key), fix=fix)]
    return []


def unknown(key: str, name: str, known: dict[str, Parameter], place: str, cfg: DictConfig) -> Finding:
    """The finding for a key that its container does not know."""
    container = key.rpartition(".")[0]
    close = RENAMED.get(name, "") if container == "trainer" and RENAMED.get(name) in known else ""
    full = f"{container}.{close}" if close else meant(container, name, {**schema_of(cfg), container: known}, cfg)
    owner = f"task={cfg.task.name}" if container == "task" else target_of(cfg, container) if container else ""
    of = f" of {owner}" if owner else f" of {container}" if container else ""
    words = [word for word in known if word != "_target_" and not (container == "task" and word == "name")]
    fix = f"known here: {some(words, like=name)}" if words else "leave it out"
    if full and len(words) > MOST_LISTED:
        fix = ""
    if key == "experiment":
        fix = "begin the file with the line `# @package _global_`"
    return Finding(f"{key} is not a field{of}", place, full, fix)


def field_findings(cfg: DictConfig, key: str, values: list[Any], place: str) -> list[Finding]:
    """Whether an override may set `key` to each of `values`, against the config its choices make."""
    schema = schema_of(cfg)
    parts = key.split(".")
    container = next((".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1) if ".".join(parts[:n]) in schema), "")
    name = parts[len(container.split(".")) if container else 0]
    known = schema[container]
    if "trainer" in (name, container):
        if not target_of(cfg, "trainer") and cfg.task.name == LOOKS:
            return []
        if not cfg.get("trainer"):
            return [Finding(f"task={cfg.task.name} trains nothing, so {key} has no meaning", place, fix="leave it out")]
        if container != "trainer":
            return []  # `check_trainer` tells what is wrong with it as a whole
    if name not in known:
        finding = unknown(f"{container}.{name}".lstrip("."), name, known, place, cfg)
        if container in LISTS:
            what, fix = f"{key}: {container} {name!r} is not chosen", f"add it to {container}=[…]"
            finding = replace(finding, what=what, fix=fix)
        return [finding]
    deeper = parts[len(container.split(".")) + 1 if container else 1 :]
    if (container, name) in FREE:
        return []
    if deeper:
        for depth in range(len(parts) - len(deeper), len(parts)):
            parent = OmegaConf.select(cfg, ".".join(parts[:depth]))
            if parent is None and container != "trainer":
                above, inner = ".".join(parts[:depth]), ".".join(parts[depth:])
                fix = f"'{above}={{{inner}: VALUE}}' sets it whole" if "." not in inner else f"set {above} whole"
                return [Finding(f"{key} is inside of {above}, which is null here", place, fix=fix)]
            if isinstance(parent, DictConfig) and parts[depth] not in parent and container != "trainer":
                siblings = {str(item): Parameter(str(item), "", False) for item in parent}
                return [unknown(".".join(parts[: depth + 1]), parts[depth], siblings, place, cfg)]
        return _like(cfg, key, values, place)
    if not known[name].annotation:
        return _like(cfg, key, values, place)
    return [finding for value in values for finding in value_findings(key, value, known[name], lambda _: place)]


def _like(cfg: DictConfig, key: str, values: list[Any], place: str) -> list[Finding]:
    """Compare with the type of the value that a file declares, where nothing else says the type."""
    try:
        default = OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return []
    if default is None:
        return []
    kind = "list" if OmegaConf.is_list(default) else "dict" if OmegaConf.is_dict(default) else type(default).__name__
    like = Parameter(key, kind, False)
    return [finding for value in values for finding in value_findings(key, value, like, lambda _: place)]
