"""Several datasets as one: a share of each, in an order that depends on a seed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from datasets import Dataset, Features, Value, concatenate_datasets

from r1lab.config.source import parameters
from r1lab.data import hub, local
from r1lab.data.splits import Splits, split_off
from r1lab.errors import DataError, Finding
from r1lab.rows.mixture import Entry, chosen, disagreements, entries_of, settings_of
from r1lab.rows.roles import Roles
from r1lab.wording import plural

SCALARS = ("string", "large_string", "int64", "int32", "float64", "float32", "bool")


def load(
    *,
    datasets: list[dict[str, Any]] | None = None,
    test: float = 400,
    seed: int = 0,
    prompt: str | None = None,
    answer: str | None = None,
    messages: str | None = None,
    text: str | None = None,
    completion: str | None = None,
    use: str = "",
) -> Splits:
    """Mix datasets.

    Of each entry `round(weight × n)` of its n rows are kept, chosen by the seed; all of them together are shuffled by
    the seed; then `test` rows are held out.

    Args:
        datasets: entries {id | path | name, config, revision, split=train, columns, weight=1.0}; `weight` is the share
            of that dataset's rows that is kept, `columns` those to keep: a list, or {name in the mixture: its name}.
            A `name` without columns brings those that its file calls prompt, answer, messages, …
        test: rows to hold out, or their share below 1; at most half.
        seed: of the choice, the order and the split.
        prompt, answer, messages, text, completion: the mixture's columns, by what they are for.
        use: what the rows are held to, as in `Roles`; the task says it.

    Raises:
        DataError: naming the entry: its dataset, a column that it lacks, or columns that are not the first one's.
    """
    roles = Roles(prompt, answer, messages, text, completion, use)
    entries, faults = entries_of(datasets or [], roles)
    _refuse(faults or ([] if entries else [Finding("dataset.datasets is empty")]))
    parts = [_columns(entry, _read(entry, roles, seed)) for entry in entries]
    _refuse(disagreements((entry.label, part.column_names) for entry, part in zip(entries, parts, strict=True)))
    parts = _of_one_type(entries, parts, answer)
    said = []
    for number, (entry, part) in enumerate(zip(entries, parts, strict=True)):
        kept = round(entry.weight * len(part))
        parts[number] = part.shuffle(seed=seed).select(range(kept))
        said.append(f"{entry.value}: {kept:,} of {plural(len(part), 'row')} (weight {entry.weight:g})")
    rows = concatenate_datasets(parts).shuffle(seed=seed)
    splits = split_off(rows, test, seed, (prompt, messages, text))
    return Splits(splits.train, splits.test, [*said, *splits.said])


def _refuse(faults: list[Finding]) -> None:
    if faults:
        raise DataError("\n".join(fault.text() for fault in faults))


def _read(entry: Entry, roles: Roles, seed: int) -> Dataset:
    key = f"dataset.datasets[{entry.number}].{entry.kind}"
    if entry.kind == "id":
        return hub.read(entry.value, entry.config, entry.split, entry.revision, key)
    if entry.kind == "path":
        return local.read(entry.value, entry.roles(roles), entry.split, key)
    values = settings_of(entry.value, seed)
    target = str(values["_target_"])
    module, _, name = target.rpartition(".")
    overrides = {"config": entry.config, "revision": entry.revision, "split": entry.split}
    values |= {key: value for key, value in overrides.items() if value is not None} | {"test": 0, "test_split": None}
    known = parameters(target) or {}
    splits: Splits = getattr(import_module(module), name)(**{key: values[key] for key in values if key in known})
    return splits.train


def _columns(entry: Entry, rows: Dataset) -> Dataset:
    """The rows of an entry under the mixture's column names."""
    _, faults = chosen(entry, rows.column_names)
    _refuse(faults)
    if entry.columns is None:
        return rows
    renamed = {theirs: ours for ours, theirs in entry.columns.items() if ours != theirs}
    return rows.select_columns(list(entry.columns.values())).rename_columns(renamed)


def _of_one_type(entries: list[Entry], parts: list[Dataset], answer: str | None) -> list[Dataset]:
    """Parts whose columns hold the same; answers that are text here and numbers there become text."""
    wanted: dict[str, Any] = dict(parts[0].features)
    for entry, part in zip(entries[1:], parts[1:], strict=True):
        for name, feature in part.features.items():
            before = wanted[name]
            if _is_null(before) or before == feature:
                wanted[name] = feature
            elif name == answer and _is_scalar(before) and _is_scalar(feature):
                wanted[name] = Value("string")
            elif not _is_null(feature) and {_dtype(before), _dtype(feature)} != {"int64", "float64"}:
                what = f"{entry.label} holds {_dtype(feature)} in column {name}, {entries[0].label} {_dtype(before)}"
                raise DataError(Finding(what, fix=f"columns: leave {name} out, or make them alike").text())
            elif _dtype(feature) == "float64":
                wanted[name] = feature
    features = [Features({name: wanted[name] for name in part.column_names}) for part in parts]
    return [part if part.features == like else part.cast(like) for part, like in zip(parts, features, strict=True)]


def _dtype(feature: Any) -> str:
    return str(getattr(feature, "dtype", feature))


def _is_null(feature: Any) -> bool:
    return _dtype(feature) == "null"


def _is_scalar(feature: Any) -> bool:
    return isinstance(feature, Value) and feature.dtype in SCALARS
