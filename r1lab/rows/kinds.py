"""What the values of a column are, row by row, and whether all rows can stand in one column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pyarrow

Kind = str | None | tuple[str, Any]  # None: only nulls so far; ("a list", kind); ("an object", {key: kind})
WHOLE, NUMBER, TEXT, FLAG = "a whole number", "a number", "text", "true or false"
SCALARS: tuple[Kind, ...] = (WHOLE, NUMBER, TEXT, FLAG)
DEEPEST = 64  # Arrow and datasets go little deeper
BEYOND = "a whole number beyond 64 bits (put it in quotes)"


class Differs(Exception):
    """Two values that cannot stand in one column: what was there before, and what came."""

    def __init__(self, before: Kind, now: Kind):
        self.before, self.now = in_words(before), in_words(now)
        super().__init__(f"{self.now}, but {self.before}")


def in_words(kind: Kind) -> str:
    """A kind as a message says it."""
    return "null" if kind is None else kind if isinstance(kind, str) else kind[0]


def kind_of(value: Any, depth: int = 0) -> Kind:
    """The kind of a value as JSON has them.

    Raises:
        Differs: the items of a list, or of one inside, do not go together; or it is beyond what a column can hold.
    """
    if value is None:
        return None
    if depth > DEEPEST:
        raise Differs(None, f"lists or objects more than {DEEPEST} deep")
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Differs(None, BEYOND)
        return WHOLE
    if isinstance(value, float):
        return NUMBER
    if isinstance(value, str):
        return TEXT
    if isinstance(value, dict):
        return "an object", {str(key): kind_of(item, depth + 1) for key, item in value.items()}
    inner: Kind = None
    for item in value:
        inner = merge(inner, kind_of(item, depth + 1))
    return "a list", inner


TYPED = {str: TEXT, int: WHOLE, float: NUMBER, bool: FLAG}


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value can stand in a column of a kind as it is; quicker than finding its own kind."""
    if value is None:
        return True
    if kind is None:
        return False
    if isinstance(kind, str):
        return TYPED.get(type(value)) == kind and (kind != WHOLE or -(2**63) <= value < 2**63)
    inner = kind[1]
    if isinstance(value, list):
        return kind[0] == "a list" and all(fits(item, inner) for item in value)
    return (
        isinstance(value, dict)
        and kind[0] == "an object"
        and all(key in inner and fits(item, inner[key]) for key, item in value.items())
    )


def merge(before: Kind, now: Kind) -> Kind:
    """The kind of a column in which both stand; whole numbers beside others become numbers.

    Raises:
        Differs: there is none.
    """
    if before is None or now is None or before == now:
        return now if before is None else before
    if isinstance(before, tuple) and isinstance(now, tuple) and before[0] == now[0]:
        if before[0] == "a list":
            return before[0], merge(before[1], now[1])
        return before[0], {
            key: merge(before[1].get(key), now[1].get(key)) for key in dict.fromkeys([*before[1], *now[1]])
        }
    if (before, now) in ((WHOLE, NUMBER), (NUMBER, WHOLE)):
        return NUMBER
    raise Differs(before, now)


def arrow_type(kind: Kind) -> pyarrow.DataType:
    """The Arrow type of a column of a kind."""
    import pyarrow as pa  # heavy, and planning does without it

    if kind is None:
        return pa.null()
    if isinstance(kind, str):
        return {WHOLE: pa.int64(), NUMBER: pa.float64(), FLAG: pa.bool_(), TEXT: pa.string()}[kind]
    if kind[0] == "a list":
        return pa.list_(arrow_type(kind[1]))
    fields = cast(dict[str, Kind], kind[1])
    return pa.struct([(name, arrow_type(inner)) for name, inner in fields.items()])
