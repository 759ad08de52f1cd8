"""The command line's words, checked against the groups and fields before Hydra composes.

Hydra stops at its first unknown word with a traceback's last line; here every word is looked at, so that one attempt
shows all that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from r1lab.config.source import parameters
from r1lab.errors import Finding
from r1lab.plan.fields import check_fields, field_findings
from r1lab.plan.places import nearest, some, where


def check_words(words: Sequence[str]) -> list[Finding]:
    """Every fault in the words of a command line. Needs an initialised Hydra (see `config.compose.session`).

    Args:
        words: overrides as typed; sweeps (`a=1,2`) are looked at value by value.

    Returns:
        Findings about misspelt groups, options and fields and values of the wrong type, in the order typed; then those
        about the files that the choices compose.
    """
    findings: list[Finding] = []
    overrides: list[Override] = []
    for word in words:
        try:
            overrides += OverridesParser.create().parse_overrides([word])
        except HydraException as error:
            findings.append(_unparsable(word, error))
    choices: list[str] = []
    values: list[Override] = []
    for override in overrides:
        if is_group(override.key_or_group):
            faults = _group_findings(override)
            findings += faults
            if not faults:
                choices.append(_first_choice(override))
        elif not override.key_or_group.startswith("hydra"):
            values.append(override)
        elif "/" in override.key_or_group:
            findings.append(_unknown_key(override, ["hydra/launcher", "hydra/sweeper"]))
    try:
        cfg = hydra_compose("config", overrides=choices, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        return findings or [Finding(f"the config does not compose: {first_lines(error)}", "the chosen files")]
    for override in values:
        if override.key_or_group.split(".")[0] in cfg:
            findings += field_findings(cfg, override.key_or_group, _values(override), f"override {override.input_line}")
        else:
            findings.append(_unknown_key(override, [*(parameters("r1lab.config.schema.Run") or {}), *groups()]))
    files = composed_files(cfg.hydra.runtime)
    mine = {override.key_or_group for override in values}
    from_files = check_fields(cfg, lambda key: where(key, choices, files))
    return findings + [item for item in from_files if not any(item.what.startswith(f"{key} has no") for key in mine)]


def _loader() -> ConfigLoaderImpl:
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    return loader


def groups() -> list[str]:
    """The config groups at the top level."""
    return sorted({*_loader().get_group_options("", ObjectType.GROUP)} - {"hydra"})


def is_group(key: str) -> bool:
    """Whether a key names a config group (`model`, `hydra/launcher`)."""
    name = key.split("@")[0]
    return "." not in name and bool(_loader().get_group_options(name, ObjectType.CONFIG))


def _group_findings(override: Override) -> list[Finding]:
    group = override.key_or_group.split("@")[0]
    options = _loader().get_group_options(group, ObjectType.CONFIG)
    place = f"override {override.input_line}"
    findings = []
    for value in _values(override):
        for option in value if isinstance(value, list) else [value]:
            if option is None or (isinstance(option, str) and option in options):
                continue
            close = nearest(str(option), options)
            fix = f"one of: {some(options)}"
            if group in ("model", "dataset"):
                flag = "dataset=local dataset.path=FILE" if group == "dataset" else "model=hub model.repo=ORG/NAME"
                fix += f"; or {flag}"
            what = f"{group} has no option {option!r}"
            findings.append(Finding(what, place, f"{group}={close}" if close else "", fix))
    return findings


def _first_choice(override: Override) -> str:
    """The override as it stands, or with the first value of its sweep."""
    if not override.is_sweep_override():
        return str(override.input_line)
    value = _values(override)[0]
    text = f"[{','.join(value)}]" if isinstance(value, list) else str(value)
    return f"{override.key_or_group}={text}"


def _values(override: Override) -> list[Any]:
    if override.is_delete():
        return []
    if override.is_sweep_override():
        return [_plain(value) for value in _swept(override)]
    return [_plain(override.value())]


def _swept(override: Override) -> Iterable[Any]:
    sweep = override.value()
    return sweep.list if hasattr(sweep, "list") else override.sweep_iterator()


def _plain(value: Any) -> Any:
    return value.text if hasattr(value, "text") else value


def _unknown_key(override: Override, valid: Iterable[str]) -> Finding:
    key = override.key_or_group
    root, _, rest = key.partition(".")
    words = list(valid)
    close = nearest(root, words)
    full = f"{close}.{rest}" if rest and close else close
    return Finding(f"{root} is neither a group nor a field", f"override {override.input_line}", full, some(words, 24))


def _unparsable(word: str, error: Exception) -> Finding:
    if "=" not in word:
        return Finding(f"{word!r} is not an override", "command line", fix=f"{word}=VALUE")
    reason = first_lines(error).replace("\n", " ")
    return Finding(f"{word!r} cannot be read: {reason}", "command line", fix="quote it: 'key=\"a value, with commas\"'")


def first_lines(error: Exception, most: int = 2) -> str:
    """The first lines of an exception's message."""
    return "\n".join(str(error).strip().splitlines()[:most])


def composed_files(runtime: DictConfig) -> list[tuple[str, Path]]:
    """(package, file) of every YAML file a composition used, experiments first, then later groups before earlier."""
    folders = [Path(source.path) for source in runtime.config_sources if source.schema in ("file", "")]
    experiments = [Path(item.path) for item in runtime.config_sources if item.schema == "experiments"]
    found: list[tuple[str, Path]] = []
    for group, chosen in runtime.choices.items():
        if group.startswith("hydra/") or not chosen:
            continue
        name, _, package = group.partition("@")
        options = chosen if OmegaConf.is_list(chosen) else [chosen]
        for option in options:
            if name == "experiment":
                found += [("", folder / f"{option}.yaml") for folder in experiments]
            found += [(package or name, folder / name / f"{option}.yaml") for folder in folders]
    existing = [(package, file) for package, file in found if file.is_file()]
    ordered = sorted(existing, key=lambda item: item[0] != "")
    return [*ordered, *(("", folder / "config.yaml") for folder in folders if (folder / "config.yaml").is_file())]
