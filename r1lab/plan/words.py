"""The command line's words, checked against the groups and fields before Hydra composes.

Hydra stops at its first unknown word with a traceback's last line; here every word is looked at, so that one attempt
shows all that is wrong.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from r1lab.config.compose import compose_choices
from r1lab.config.groups import NotText, composed_files, groups, is_group, options_of
from r1lab.config.source import parameters
from r1lab.errors import Finding
from r1lab.plan.fields import LISTS, check_fields, field_findings, schema_of
from r1lab.plan.meant import meant, slip
from r1lab.plan.places import where
from r1lab.wording import display, nearest, some

ALIASES = {"gpu": "auto", "cuda": "auto"}
PAIRS = (("[", "]"), ("{", "}"), ("(", ")"), ("'", "'"), ('"', '"'))


def parse(words: Sequence[str]) -> tuple[list[Override], list[Finding]]:
    """The words as Hydra reads them, and a finding for each that it cannot read."""
    overrides: list[Override] = []
    findings: list[Finding] = []
    for word in words:
        try:
            overrides += OverridesParser.create().parse_overrides([word])
        except HydraException as error:
            findings.append(_unparsable(word, error))
    return overrides, findings


def check_words(words: Sequence[str]) -> list[Finding]:
    """Every fault in the words of a command line. Needs an initialised Hydra (see `config.compose.session`).

    Args:
        words: overrides as typed; sweeps (`a=1,2`) are looked at value by value.

    Returns:
        Findings about misspelt groups, options and fields and values of the wrong type, in the order typed; then those
        about the files that the choices compose.
    """
    overrides, findings = parse(words)
    choices: list[str] = []
    values: list[Override] = []
    for override in overrides:
        key = override.key_or_group
        if override.is_delete() and (is_group(key) or key == "trainer"):
            what = f"{key} cannot be left out"
            findings.append(Finding(what, f"override {override.input_line}", fix=f"choose an option: {key}=…"))
        elif is_group(key):
            faults = group_findings(override)
            findings += faults
            if not faults:
                choices.append(_first_choice(override))
        elif key.startswith("hydra/"):
            findings.append(_unknown_key(override, ["hydra/launcher", "hydra/sweeper"]))
        else:
            values.append(override)
            if key == "plugins" and not override.is_sweep_override():
                choices.append(str(override.input_line))  # decides which `_target_` may be read
    targets = [item for item in values if item.key_or_group.endswith("._target_")]
    try:
        cfg = compose_choices(choices, to_change=bool(targets))
    except (HydraException, OmegaConfBaseException) as error:
        return findings or [finding_of(error)]
    for override in targets:
        if OmegaConf.select(cfg, override.key_or_group):  # decides which parameters there are
            OmegaConf.update(cfg, override.key_or_group, values_of(override)[0])
    for override in values:
        root = override.key_or_group.split(".")[0]
        place = f"override {override.input_line}"
        if root == "hydra":
            findings += _hydra_findings(cfg, override)
        elif root in cfg:
            found = field_findings(cfg, override.key_or_group, values_of(override), place)
            if override.is_interval_sweep():
                whole = f"{override.key_or_group}=int({str(override.input_line).partition('=')[2]})"
                found = [replace(item, fix=whole) if "a whole number" in item.what else item for item in found]
            findings += found
        else:
            findings.append(_unknown_key(override, [*(parameters("r1lab.config.schema.Run") or {}), *groups()], cfg))
    mine = {override.key_or_group for override in values}
    said = [*choices, *(str(override.input_line) for override in targets)]
    files = cache(partial(composed_files, choices))
    from_files = check_fields(cfg, lambda key: where(key, said, files))
    new = [item for item in from_files if item not in findings]
    return findings + [item for item in new if not any(item.what.startswith(f"{key} has no") for key in mine)]


def group_findings(override: Override) -> list[Finding]:
    """The options that an override chooses of a group and that are not there."""
    group = override.key_or_group.split("@")[0]
    options = options_of(group)
    place = f"override {override.input_line}"
    findings = []
    for value in values_of(override):
        wanted = value if isinstance(value, list) else [value]
        close = [item if item in options else ALIASES.get(item) or nearest(str(item), options) for item in wanted]
        text = f"[{','.join(close)}]" if isinstance(value, list) else close[0] if close else ""
        fix = f"one of: {some(options, like=str(wanted[0]) if wanted else '')}"
        if group in ("model", "dataset"):
            flag = "dataset=local dataset.path=FILE" if group == "dataset" else "model=hub model.repo=ORG/NAME"
            fix += f"; or {flag}"
        if isinstance(value, list) and group not in LISTS and not group.startswith("hydra/"):
            findings.append(Finding(f"{group} takes one option, not a list", place, fix=fix))
            continue
        missing = [item for item in wanted if item not in options]
        if missing:
            what = f"{group} has no option {', '.join('null' if item is None else repr(item) for item in missing)}"
            findings.append(Finding(what, place, f"{group}={text}" if all(close) else "", fix))
    return findings


def _first_choice(override: Override) -> str:
    """The override as it stands, or with the first value of its sweep."""
    if not override.is_sweep_override():
        return str(override.input_line)
    value = values_of(override)[0]
    text = f"[{','.join(value)}]" if isinstance(value, list) else str(value)
    return f"{override.key_or_group}={text}"


def values_of(override: Override) -> list[Any]:
    """The values that an override gives: one, or each of its sweep."""
    if override.is_delete():
        return []
    if override.is_sweep_override():
        return [_plain(value) for value in _swept(override)]
    return [_plain(override.value())]


def value_of(words: Sequence[str], key: str) -> str | None:
    """The value a command line gives to a plain key; None where it gives none, or `null`."""
    said = [values_of(override) for override in parse(words)[0] if override.key_or_group == key]
    return str(said[-1][0]) if said and said[-1] and said[-1][0] not in (None, "") else None


def _swept(override: Override) -> Iterable[Any]:
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        return [sweep.start]  # whose kind is that of what is drawn; the numbers are looked at run by run
    return sweep.list if isinstance(sweep, ChoiceSweep) else override.sweep_iterator()


def _plain(value: Any) -> Any:
    return value.text if hasattr(value, "text") else value


def _unknown_key(override: Override, valid: Iterable[str], cfg: DictConfig | None = None) -> Finding:
    """The finding for a word whose first part nobody knows; with a config, also what its last part means there."""
    key = override.key_or_group
    root, _, rest = key.partition(".")
    words = list(dict.fromkeys(valid))
    full = f"{close}.{rest}" if rest and (close := nearest(root, words)) else nearest(root, words)
    if cfg is not None and not slip(root, words):
        full = meant("", rest or root, schema_of(cfg), cfg) or full
    elif cfg is not None and rest and close in (known := schema_of(cfg)) and rest.partition(".")[0] not in known[close]:
        full = meant(close, rest, known, cfg) or full
    fix = "" if full else f"known here: {some(words, 24)}"
    return Finding(f"{root} is neither a group nor a field", f"override {override.input_line}", full, fix)


def _hydra_findings(cfg: DictConfig, override: Override) -> list[Finding]:
    """Whether Hydra has the field that an override sets without `+`."""
    key = override.key_or_group
    container, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, container, throw_on_resolution_failure=False)
    if override.is_add() or override.is_force_add() or not isinstance(node, DictConfig) or name in node:
        return []
    close = nearest(name, map(str, node))
    place = f"override {override.input_line}"
    fix = f"known here: {some(map(str, node), like=name)}"
    return [Finding(f"{key} is not a field of Hydra", place, f"{container}.{close}" if close else "", fix)]


def _unparsable(word: str, error: Exception) -> Finding:
    for left, right in PAIRS:
        odd = word.count(left) % 2 if left == right else word.count(left) != word.count(right)
        if odd:
            what = f"in {word}, {left} {right} do not pair" if left != right else f"in {word}, {left} is not closed"
            return Finding(what, "command line", fix="no spaces inside the word, or all of it in quotes: 'key=[a,b]'")
    if "=" not in word:
        group = next((group for group in groups() if word in options_of(group)), "")
        return Finding(f"{word!r} is not key=value", "command line", f"{group}={word}" if group else f"{word}=VALUE")
    reason = str(error).strip().splitlines()[0]
    key, _, value = word.partition("=")
    quoted = shlex.quote(f'{key}="{value}"') if '"' not in value else "'key=\"a value, with commas\"'"
    return Finding(f"{word!r} cannot be read: {reason}", "command line", fix=f"quote it: {quoted}")


def finding_of(error: Exception) -> Finding:
    """A composition error of Hydra, OmegaConf or YAML as a finding."""
    if isinstance(error, NotText):
        fix = "save it as UTF-8; of a file in Latin-1: iconv -f latin1 -t utf-8 FILE"
        return Finding(str(error), f"{display(error.file)}:{error.line}", fix=fix)
    cause = error if isinstance(error, YAMLError) else error.__cause__ or error.__context__
    mark = getattr(cause, "problem_mark", None)
    if mark is not None:
        what = f"not valid YAML: {getattr(cause, 'problem', None) or cause}"
        place = f"{display(Path(mark.name))}:{mark.line + 1}"
        return Finding(what, place, fix="check the indentation, colons and quotes around it")
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        close = nearest(name, error.options)
        place = "the defaults list of a chosen file"
        fix = f"one of: {some(error.options, like=name)}"
        return Finding(f"{group} has no option {name!r}", place, f"{group}: {close}" if close else "", fix)
    said = str(error).strip() or str(cause or "")  # Hydra wraps some without a word of its own
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("full_key:", "object_type=", "See http"))]
    key = next((line.partition(": ")[2] for line in lines if line.startswith("full_key:")), "")
    return Finding(told[0] if told else type(error).__name__, key, fix="; ".join(told[1:4]))
