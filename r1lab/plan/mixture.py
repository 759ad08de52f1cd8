"""The entries of a mixture, checked as far as it goes without a hub."""

from __future__ import annotations

from dataclasses import replace

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import Finding
from r1lab.plan.fields import Where
from r1lab.rows.look import PLANNED, look
from r1lab.rows.mixture import chosen, disagreements, entries_of, settings_of
from r1lab.rows.roles import roles_of


def check_mixture(cfg: DictConfig, where: Where) -> tuple[list[tuple[str, list[str]]], list[Finding]]:
    """What the entries of `dataset.datasets` are, where that is known, and what speaks against them.

    Returns:
        Label and columns of the rows as the mixture will have them, of the first entry whose columns are known; and
        the findings.
    """
    place = where("dataset.datasets")
    listed = OmegaConf.to_container(cfg.dataset.datasets, resolve=True) if cfg.dataset.get("datasets") else []
    assert isinstance(listed, list)
    if not listed:
        return [], [
            Finding("dataset.datasets has no value", place, fix="dataset.datasets=[{id: ORG/NAME, weight: 0.5}, …]")
        ]
    roles = roles_of(cfg.dataset, cfg.task.name)
    entries, faults = entries_of(listed, roles)
    sets: list[tuple[str, list[str]]] = []
    for entry in entries:
        columns = list(entry.columns) if entry.columns and entry.kind == "id" else []
        if entry.kind == "path":
            key = f"dataset.datasets[{entry.number}].path"
            found = look(entry.value, entry.roles(roles), entry.split, place, key, PLANNED)
            columns, missing = chosen(entry, found.columns) if not found.faults else ([], [])
            faults += [*found.faults, *missing]
        elif entry.kind == "name" and (known := settings_of(entry.value).get("columns")):
            columns, missing = chosen(entry, known)
            faults += missing
        if columns:
            sets.append((entry.label, columns))
    if not faults:
        faults = disagreements(sets)
    return sets[:1] if not faults else [], [replace(fault, where=place) for fault in faults]
