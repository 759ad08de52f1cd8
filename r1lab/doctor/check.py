"""One line of the doctor's table."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, MISSING = "ok", "warning", "missing"


@dataclass(frozen=True)
class Check:
    """What was looked at and found.

    Attributes:
        name: what was looked at.
        state: ok; warning, where it may matter; missing, where the config cannot do without it.
        found: what is there, never a secret.
        todo: what to do about it; "" where nothing needs doing.
    """

    name: str
    state: str
    found: str
    todo: str = ""


def there(name: str, present: bool, found: str, todo: str, needed: bool) -> Check:
    """The check of something that is there or not, and that the config needs or not."""
    if present:
        return Check(name, OK, found)
    return Check(name, MISSING if needed else WARNING, found, todo)
