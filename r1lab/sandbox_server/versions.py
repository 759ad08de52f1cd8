"""Version selectors as npm reads them, which Piston has from there: `*`, `3.x`, `^3.11`, `~1.2`, `>=3 <4`, `1 || 2`."""

from __future__ import annotations

import re
from collections.abc import Sequence

Version = tuple[int, ...]
PART = re.compile(
    r"(\^|~|>=|<=|>|<|=)?\s*v?(\d{1,9}|[xX*])(?:\.(\d{1,9}|[xX*]))?(?:\.(\d{1,9}|[xX*]))?(?:[-+][\w.+-]*)?"
)
LONGEST = 200  # characters of a selector
RANGE = re.compile(r"(\S+)\s+-\s+(\S+)")


def satisfies(version: str, selector: str) -> bool:
    """Whether a selector asks for a version, given as three numbers; one that cannot be read asks for none."""
    if len(selector) > LONGEST:
        return False
    number = tuple(int(part) for part in version.split(".")[:3])
    return any(_all(number, choice.strip()) for choice in selector.split("||"))


def _all(version: Version, choice: str) -> bool:
    choice = RANGE.sub(r">=\1 <=\2", choice)
    choice = re.sub(r"(\^|~|>=|<=|>|<|=)\s+", r"\1", choice)
    return all(_one(version, part) for part in choice.split() or ["*"])


def _one(version: Version, part: str) -> bool:
    found = PART.fullmatch(part)
    if not found:
        return False
    operator = found[1] or "="
    given = [int(item) for item in _numbers(found.groups()[1:])]
    low = tuple(given + [0] * (3 - len(given)))
    high = _next(given, len(given))  # the first version that the written numbers do not cover any more
    if operator == "^" and given:
        leading = next((place + 1 for place, item in enumerate(given) if item), len(given))
        high = _next(given, leading)
    elif operator == "~" and given:
        high = _next(given, min(2, len(given)))
    if operator in (">", ">=", "<", "<="):
        return {
            ">": high is not None and version >= high,
            ">=": version >= low,
            "<": version < low,
            "<=": high is None or version < high,
        }[operator]
    return version >= low and (high is None or version < high)


def _numbers(parts: Sequence[str | None]) -> list[str]:
    """The numbers before the first that is left open."""
    numbers: list[str] = []
    for part in parts:
        if part is None or not part.isdigit():
            break
        numbers.append(part)
    return numbers


def _next(given: Sequence[int], place: int) -> Version | None:
    """The version after all that begin with the first `place` numbers; None where all versions do."""
    if not place:
        return None
    return tuple([*given[: place - 1], given[place - 1] + 1] + [0] * (3 - place))
