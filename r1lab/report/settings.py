"""What differs between the runs of a sweep, in as few columns as say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r1lab.report.records import Run
from r1lab.report.score import as_number
from r1lab.report.words import cut, number

Column = list[str | float]  # one value a run
_ABSENT = "–"
_NOT_SETTINGS = ("overrides", "hydra")


def differences(runs: Sequence[Run]) -> list[dict[str, str | float]]:
    """For each run the settings that differ between the runs: the same keys in each, a number or a word as value, "–"
    where a run has none. A run that left no config differs in nothing.

    A group whose option was swept (`model=tiny,qwen`, `reward=[accuracy],[accuracy,format]`) stands for the keys that
    the option brings. Of several keys with the same value as each other in every run (one refers to the other), the
    shallowest is kept. Paths into each run's own folder are left out, and the name unless nothing else differs.
    """
    told = [i for i, run in enumerate(runs) if run.config]
    configs = [{k: v for k, v in runs[i].config.items() if k not in _NOT_SETTINGS} for i in told]
    flat = [_flat(config) for config in configs]
    folders = [runs[i].path.name for i in told]
    columns = {}
    for group in dict.fromkeys(key for config in configs for key in config):
        if _differ(options := [_value(_option(config.get(group))) for config in configs]):
            columns[group] = options
    keys = dict.fromkeys(key for settings in flat for key in settings)
    values = {key: [_value(settings.get(key)) for settings in flat] for key in keys if key != "name"}
    values = {key: v for key, v in values.items() if _differ(v) and not _follow_from_folders(v, folders)}
    brought = [key for key in values if _brought(key, values[key], columns, configs)]
    seen = {tuple(values[key]) for key in brought} | {tuple(options) for options in columns.values()}
    for key in sorted(values.keys() - brought, key=lambda key: (key.count("."), list(keys).index(key))):
        if tuple(values[key]) not in seen:
            seen.add(tuple(values[key]))
            columns[key] = values[key]
    if not columns and _differ(names := [_value(settings.get("name")) for settings in flat]):
        columns["name"] = names
    return [{k: v[told.index(i)] if i in told else _ABSENT for k, v in columns.items()} for i in range(len(runs))]


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _option(group: object) -> str | None:
    """The option chosen in a group: its name, or the names of its parts in a group that takes a list (rewards)."""
    if not isinstance(group, dict):
        return None
    if "name" in group:
        return str(group["name"])
    return ", ".join(str(key) for key, part in group.items() if isinstance(part, dict)) or None


def _brought(key: str, values: Column, options: dict[str, Column], configs: Sequence[dict[str, Any]]) -> bool:
    """Whether a key's values come with the option of its group: always the same where the option is the same; in a
    group of parts, when the key belongs to a part that some run has not."""
    group, _, rest = key.partition(".")
    if group not in options:
        return False
    groups = [config.get(group) for config in configs]
    if all(isinstance(chosen, dict) and "name" in chosen for chosen in groups):
        return len(set(zip(options[group], values, strict=True))) == len(set(options[group]))
    part = rest.partition(".")[0]
    return any(not isinstance(chosen, dict) or part not in chosen for chosen in groups)


def _differ(values: Column) -> bool:
    return len(set(values)) > 1


def _follow_from_folders(values: Column, folders: Sequence[str]) -> bool:
    """Whether the values are paths into each run's own folder."""
    return all("/" in str(v) and name in str(v).split("/") for v, name in zip(values, folders, strict=True))


def _value(value: Any) -> str | float:
    as_float = as_number(value)
    if as_float is not None:
        return as_float
    return _ABSENT if value is None else cut(str(value).strip("'\""), 80)


def shown(value: str | float) -> str:
    """A setting as the table shows it."""
    return number(value) if isinstance(value, float) else value
