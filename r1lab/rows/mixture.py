"""The entries of a mixture: what each may say, and whether they agree on their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from r1lab.config.experiments import CONF
from r1lab.errors import Finding
from r1lab.rows.roles import Roles
from r1lab.wording import nearest, some

SOURCES = ("id", "path", "name")
KEYS = (*SOURCES, "config", "revision", "split", "columns", "weight")
ROLES = ("prompt", "answer", "messages", "text", "completion")


@dataclass(frozen=True)
class Entry:
    """One dataset of a mixture.

    Attributes:
        number: its place, from 0.
        kind: "id" (of the Hub), "path" (local files) or "name" (a dataset that r1lab ships).
        value: which one.
        columns: what the mixture calls a column → what this dataset calls it; None keeps all as they are.
        weight: the share of this dataset's rows that is kept, above 0 and at most 1.
    """

    number: int
    kind: str
    value: str
    config: str | None = None
    revision: str | None = None
    split: str = "train"
    columns: Mapping[str, str] | None = None
    weight: float = 1.0

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"dataset.datasets[{self.number}] ({self.value})"

    def roles(self, roles: Roles) -> Roles:
        """The mixture's roles under the names that this dataset's columns have."""
        if self.columns is None:
            return roles
        named = {role: self.columns.get(getattr(roles, role) or "") for role in ROLES}
        return replace(roles, **named)  # type: ignore[arg-type]  # mypy takes every field for one of text


def entries_of(listed: Sequence[Any], roles: Roles) -> tuple[list[Entry], list[Finding]]:
    """The entries of a mixture's `datasets`, and everything that is wrong with what they say."""
    entries, faults = [], []
    for number, given in enumerate(listed):
        place = f"dataset.datasets[{number}]"
        if not isinstance(given, Mapping):
            what = f"{place} takes a mapping, not {given!r}"
            faults.append(Finding(what, fix=f"{{id: ORG/NAME}}, {{path: FILE}} or {{name: {given}}}"))
            continue
        found = _faults(place, given)
        faults += found
        if not found and (entry := _entry(number, given, roles)).columns != {}:
            entries.append(entry)
        elif not found:
            named = [f"dataset.{role}" for role in ROLES if getattr(roles, role)]
            what = f"{entry.label} has no column that the mixture names by {', '.join(named)}"
            faults.append(
                Finding(what, fix=f"columns: its columns to keep; or what its file names: {given['name']}.yaml")
            )
    return entries, faults


def _faults(place: str, given: Mapping[str, Any]) -> list[Finding]:
    faults = []
    for key in given:
        if key not in KEYS:
            close = nearest(str(key), KEYS)
            faults.append(Finding(f"{place}.{key} is not a field of a mixture's entry", nearest=close, fix=some(KEYS)))
    named = [key for key in SOURCES if given.get(key)]
    if len(named) != 1:
        what = f"{place} names {'no dataset' if not named else ' and '.join(named)}"
        faults.append(Finding(what, fix="one of id: ORG/NAME, path: FILE, name: a shipped dataset"))
    weight = given.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1:
        what = f"{place}.weight={weight} is not the share of a dataset's rows to keep"
        faults.append(Finding(what, fix="above 0 and at most 1; leave the entry out for none of it"))
    for key in ("id", "path", "name", "config", "revision", "split"):
        if given.get(key) is not None and not isinstance(given[key], str):
            faults.append(Finding(f"{place}.{key} takes text, not {given[key]!r}"))
    faults += _column_faults(place, given.get("columns"))
    if named == ["name"] and isinstance(given["name"], str) and given["name"] not in shipped():
        what, known = f"{place}: there is no dataset {given['name']!r}", shipped()
        faults.append(Finding(what, nearest=nearest(given["name"], known), fix=f"one of: {some(known)}"))
    return faults


def _column_faults(place: str, columns: Any) -> list[Finding]:
    if columns is None:
        return []
    if not isinstance(columns, Mapping | list | tuple) or not columns:
        fix = "a list of columns to keep, or {the mixture's name: this dataset's name}"
        return [Finding(f"{place}.columns={columns!r} is neither a list nor a mapping", fix=fix)]
    theirs = [str(name) for name in (columns.values() if isinstance(columns, Mapping) else columns)]
    twice = next((name for name in theirs if theirs.count(name) > 1), None)
    return [Finding(f"{place}.columns takes {twice!r} twice")] if twice else []


def _entry(number: int, given: Mapping[str, Any], roles: Roles) -> Entry:
    kind = next(key for key in SOURCES if given.get(key))
    columns = given.get("columns")
    if isinstance(columns, list | tuple):
        columns = {str(name): str(name) for name in columns}
    if columns is None and kind == "name":
        own = settings_of(str(given[kind]))
        pairs = ((getattr(roles, role), own.get(role)) for role in ROLES)
        columns = {ours: str(theirs) for ours, theirs in pairs if ours and theirs}
    rest = {key: given[key] for key in ("config", "revision", "split", "weight") if given.get(key) is not None}
    return Entry(number, kind, str(given[kind]), columns=columns, **rest)


def shipped() -> list[str]:
    """The datasets that an entry may name."""
    mixtures = {file.stem for file in (CONF / "dataset").glob("*.yaml") if "datasets:" in file.read_text("utf-8")}
    return sorted({file.stem for file in (CONF / "dataset").glob("*.yaml")} - mixtures - {"hub", "local"})


def settings_of(name: str, seed: int = 0) -> dict[str, Any]:
    """What the file of a shipped dataset says; `${seed}` is the mixture's."""
    file: Path = CONF / "dataset" / f"{name}.yaml"
    root = OmegaConf.create({"seed": seed, "dataset": OmegaConf.load(file)})
    settings: Any = OmegaConf.to_container(root, resolve=True)
    return dict(settings["dataset"])


def disagreements(sets: Iterable[tuple[str, Sequence[str]]]) -> list[Finding]:
    """Entries whose columns are not those of the first: label and columns of each, after renaming."""
    known = list(sets)
    faults = []
    for label, columns in known[1:]:
        first, wanted = known[0][0], set(known[0][1])
        missing, extra = wanted - set(columns), set(columns) - wanted
        if missing or extra:
            parts = [f"lacks {some(missing)}"] * bool(missing) + [f"has {some(extra)} besides"] * bool(extra)
            what = f"{label} has other columns than {first}: it {' and '.join(parts)}"
            fix = f"columns: {{{min(missing or wanted)}: ITS NAME, …}} keeps and renames columns of an entry"
            faults.append(Finding(what, fix=fix))
    return faults


def chosen(entry: Entry, columns: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """The columns of an entry under the mixture's names, and those that it asks for and has not."""
    if entry.columns is None:
        return list(columns), []
    missing = [theirs for theirs in entry.columns.values() if theirs not in columns]
    faults = [
        Finding(f"{entry.label} has no column {name!r}", nearest=nearest(name, columns), fix=f"it has: {some(columns)}")
        for name in missing
    ]
    return list(entry.columns), faults
