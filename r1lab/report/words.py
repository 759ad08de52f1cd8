"""Text for people: any string made safe to show, long ones cut with a word saying so, numbers short enough to compare.

Escaping HTML is the template's part (autoescape); here goes what escaping leaves: control characters, lone surrogates,
size.
"""

import math
import re
from collections.abc import Sequence

# What may not stand in an HTML file as it is: C0 and C1 controls, lone surrogates, the two noncharacters of the
# basic plane.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def clean(text: str) -> str:
    """The text with every character showable: NUL becomes ␀ and so on, a lone surrogate �; newline and tab stay."""
    return _UNSHOWABLE.sub(_stand_in, text.replace("\r\n", "\n"))


def _stand_in(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's own pictures of the control characters
    return "␡" if code == 0x7F else "\ufffd"


def cut(text: str, limit: int) -> str:
    """At most about `limit` characters: two thirds from the start, the rest from the end (there the answer stands)."""
    if len(text) <= limit:
        return text
    head, tail = limit - limit // 3, limit // 3
    left_out = len(text) - head - tail
    gap = f"[… cut here: {left_out:,} of {len(text):,} characters are not shown …]"
    return f"{text[:head]}\n{gap}\n{text[len(text) - tail :]}"


def number(value: object, digits: int = 4) -> str:
    """A number with `digits` significant digits, whole ones with thousands separated; "–" for none; other things as
    text."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("−∞" if value < 0 else "∞")
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif abs(value) >= 1000 and abs(value) < 1e9:
        text = f"{value:,.1f}"
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def percent(value: float, signed: bool = False) -> str:
    """0.8712 → "87.1 %", with a space that does not break."""
    return f"{100 * value:{'+' if signed else ''}.1f}\N{NO-BREAK SPACE}%".replace("-", "−")


def is_share(key: str) -> bool:
    """Whether an evaluation's metric is a share of right answers, best read in percent: accuracy, pass@k, maj@k."""
    kind, _, leaf = key.rpartition("/")
    leaf = leaf.removesuffix("_before")
    return kind.startswith("eval") and (leaf == "accuracy" or leaf.startswith(("pass@", "maj@")))


def value_of(key: str, value: float | None) -> str:
    """A metric's value as it is read: in percent when it is a share of right answers."""
    if value is not None and math.isfinite(value) and is_share(key):
        return percent(value)
    return number(value)


def duration(seconds: float | None) -> str:
    """Seconds as the two largest units: "2 h 5 min", "14 min 3 s", "3.2 s"; "–" for none."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, smaller, smaller_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name} {rest} {smaller_name}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def joined(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
