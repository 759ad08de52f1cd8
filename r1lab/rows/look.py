"""A look at local files: their columns, what the columns hold, and every fault, with file and line.

The planner looks before a run and the loader before it reads, both through `look`, so that what one accepts the other
loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from r1lab.errors import Finding
from r1lab.rows.files import SAVED, Source, source_of
from r1lab.rows.kinds import NUMBER, SCALARS, TEXT, WHOLE, Differs, Kind, fits, kind_of, merge
from r1lab.rows.roles import Roles, row_fault
from r1lab.rows.text import TYPES, header_of, read_rows
from r1lab.wording import display, some

NUMBERS = (WHOLE, NUMBER)
MOST_BROKEN = 5
BATCH = 256
PLANNED = 20_000  # rows of a parquet or arrow file that the planner reads; the loader reads them all


@dataclass
class Look:
    """What local files hold.

    Attributes:
        columns: in the order they are met.
        kinds: column → what it holds; only of text formats, whose files do not say it themselves.
        rows: how many, where the look went through all of them.
        faults: everything that is wrong, at most `MOST_BROKEN` broken rows.
    """

    source: Source = field(default_factory=Source)
    columns: list[str] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    rows: int = 0
    faults: list[Finding] = field(default_factory=list)


def look(
    path: str,
    roles: Roles | None = None,
    split: str = "train",
    place: str = "",
    key: str = "dataset.path",
    most: int | None = None,
) -> Look:
    """Look at the files that a path means.

    Args:
        path: file, folder or pattern, as `source_of` takes it.
        roles: which column is what; rows are held to it.
        split: of a folder with several.
        place: where the config said the path; every fault tells it.
        key: what the config calls the path.
        most: rows of a parquet or arrow source to read, all if None. Text is read to the last line, so that a broken
            one is found before a run and not in its third hour.
    """
    found = Look(source_of(path, split, key))
    found.faults += found.source.faults
    try:
        for file in found.source.files:
            if file.stat().st_size == 0:
                found.faults.append(Finding(f"{display(file)} is empty"))
        if not found.faults:
            binary = found.source.format in (".parquet", SAVED)
            (_binary if binary else _text)(found, roles or Roles(), *((most,) if binary else ()))
    except OSError as error:
        found.faults.append(Finding(f"{error.filename or path} cannot be read: {error.strerror or error}"))
    found.faults = [replace(fault, where=place) for fault in found.faults]
    return found


def _text(found: Look, roles: Roles) -> None:
    is_csv = found.source.format == ".csv"
    first: dict[str, str] = {}  # column → where it first held something
    unfit: list[Finding] = []
    for file in found.source.files:
        if is_csv and not _same_columns(found, _header(file), file):
            return
        before = found.rows
        place = partial(_in_list if file.suffix.lower() == ".json" else _in_lines, display(file))
        for number, row in read_rows(file):
            if isinstance(row, Finding):
                found.faults.append(row)
            else:
                found.rows += 1
                at = partial(place, number)
                fault = _merge_fields(found, row, roles) if is_csv else _merge_row(found, row, at, first, roles)
                if fault:
                    found.faults.append(Finding(f"{at()} {fault}"))
                elif len(unfit) < MOST_BROKEN and (fault := row_fault(row, roles)):
                    unfit.append(Finding(f"{at()} {fault}"))
            if len(found.faults) == MOST_BROKEN:
                return
        if found.rows == before and not found.faults:
            found.faults.append(Finding(f"{display(file)} holds no row"))
    if _can_hold(roles, found):
        found.faults += unfit[: MOST_BROKEN - len(found.faults)]
    if is_csv:
        found.kinds = {name: kind or TEXT for name, kind in found.kinds.items()}


def _in_lines(shown: str, number: int) -> str:
    return f"{shown}:{number}"


def _in_list(shown: str, number: int) -> str:
    return f"{shown}, row {number},"


def _header(file: Path) -> list[str] | None:
    """The header of a CSV file; None where it is not text, which reading its rows tells."""
    try:
        return header_of(file)
    except UnicodeDecodeError:
        return None


def _can_hold(roles: Roles, found: Look) -> bool:
    """Whether the columns that are needed are there: else that is one fault of the dataset, not one of every row."""
    return all(getattr(roles, role) in found.columns for role in roles.needed(found.columns))


def _merge_row(found: Look, row: dict[str, Any], at: Callable[[], str], first: dict[str, str], roles: Roles) -> str:
    for name, value in row.items():
        if name not in found.kinds:
            found.columns.append(name)
            found.kinds[name] = None
        before = found.kinds[name]
        if fits(value, before):
            continue
        try:
            now = TEXT if name == roles.answer and isinstance(value, int) and abs(value) >= 2**63 else kind_of(value)
            if name == roles.answer and before != now and before in SCALARS and now in SCALARS:
                found.kinds[name] = TEXT  # answers are read as text
                continue
            found.kinds[name] = merge(before, now)
        except Differs as error:
            if error.before == "null" or name not in first:
                return f"has {error.now} in column {name}" + ("" if error.before == "null" else f" and {error.before}")
            return f"has {error.now} in column {name}, which holds {error.before} since {first[name]}"
        if before is None and value is not None:
            first[name] = at().removesuffix(",")
    return ""


def _merge_fields(found: Look, row: dict[str, Any], roles: Roles) -> str:
    """Narrow a CSV column to the first type in which every field so far can be written again as it stands.

    Whole numbers beside others become numbers, but not among answers, which are compared as they stand.
    """
    for name, value in row.items():
        if value is None:
            continue
        known = found.kinds.get(name)
        if name in roles.texts:
            found.kinds[name] = TEXT
        elif known is None:
            found.kinds[name] = next(kind for kind, (fits, _) in TYPES.items() if fits(value))
        elif known in NUMBERS and name != roles.answer and any(TYPES[kind][0](value) for kind in NUMBERS):
            found.kinds[name] = known if TYPES[str(known)][0](value) else NUMBER
        elif not TYPES[str(known)][0](value):
            found.kinds[name] = TEXT
    return ""


def _same_columns(found: Look, columns: list[str] | None, file: Path) -> bool:
    """Take the columns of the first file, and hold the others to them."""
    if columns is None:
        return True
    if not found.columns:
        found.columns = columns
        found.kinds = dict.fromkeys(columns)
        return True
    missing, extra = set(found.columns) - set(columns), set(columns) - set(found.columns)
    if missing or extra:
        parts = [f"lacks {some(missing)}"] * bool(missing) + [f"has {some(extra)} besides"] * bool(extra)
        what = f"{display(file)} has other columns than {display(found.source.files[0])}: it {' and '.join(parts)}"
        found.faults.append(Finding(what, fix="files of one dataset have the same columns"))
    return not (missing or extra)


def _binary(found: Look, roles: Roles, most: int | None) -> None:
    from pyarrow import ArrowException  # heavy, and only these formats need it

    for file in found.source.files:
        try:
            columns, batches = _opened(file, roles)
            if not _same_columns(found, columns, file):
                return
            fit = roles if _can_hold(roles, found) else Roles()
            for number, row in enumerate(chain.from_iterable(batches), 1):
                found.rows += 1
                if fault := row_fault(row, fit):
                    found.faults.append(Finding(f"{display(file)}, row {number}, {fault}"))
                if len(found.faults) == MOST_BROKEN or found.rows == most:
                    return
        except ArrowException as error:
            found.faults.append(Finding(f"{display(file)} is broken: {str(error).splitlines()[0]}"))
            return
    if not found.rows:
        found.faults.append(Finding(f"{display(found.source.folder or found.source.files[0])} holds no row"))


def _opened(file: Path, roles: Roles) -> tuple[list[str], Iterator[list[dict[str, Any]]]]:
    """The columns of a parquet or arrow file, and its rows in batches: only the columns that roles name."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    names = {*roles.texts, roles.answer}
    if file.suffix.lower() == ".parquet":
        parquet = ParquetFile(file)
        columns = list(parquet.schema_arrow.names)
        wanted = [name for name in columns if name in names] or columns[:1]
        return columns, (batch.to_pylist() for batch in parquet.iter_batches(BATCH, columns=wanted))
    table = pa.ipc.open_stream(pa.memory_map(str(file))).read_all()
    wanted = [name for name in table.column_names if name in names] or table.column_names[:1]
    chosen = table.select(wanted)
    return table.column_names, (batch.to_pylist() for batch in chosen.to_batches(BATCH))
