"""How numbers, units and lists are written: what can be told of two answers without a computer algebra system."""

from __future__ import annotations

import re
from fractions import Fraction

PLAIN = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?|[+-]?\.\d+")
SCIENTIFIC = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[eE]([+-]?\d{1,3})")
PERCENT = re.compile(r"\s*(?:\\?%|\\text\{\s*percent\s*\}|percent)\s*$")
CURRENCY = re.compile(r"^([+-]?)\s*(?:\\?\$|[€£¥])\s*(?=[\d.])")
DELIMITED = re.compile(r"\$\$([^$]*)\$\$|\$([^$]*)\$|\\\(((?:(?!\\\)).)*)\\\)|\\\[((?:(?!\\\]).)*)\\\]", re.DOTALL)
NAMED = re.compile(r"\s*\\?[A-Za-z]\w{0,10}(?:\(\w\))?\s*=(?!=)")  # `x = `, before the value
EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)")
LETTER = re.compile(r"[A-Za-z]")
COMMAND = re.compile(r"\\[A-Za-z]+")
SPACED = re.compile(r"[+-]?\d{1,3}( \d{3})+(\.\d+)?")

FRACTIONS = ["½12", "⅓13", "⅔23", "¼14", "¾34", "⅕15", "⅖25", "⅗35", "⅘45", "⅙16", "⅚56", "⅛18", "⅜38", "⅝58", "⅞78"]
SIGNS = str.maketrans(
    {item[0]: rf"\frac{{{item[1]}}}{{{item[2]}}}" for item in FRACTIONS}
    | {"−": "-", "×": r"\times ", "·": r"\cdot ", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge "}
    | {"²": "^2", "³": "^3", "°": r"^\circ ", "\u00a0": " ", "\u2009": " ", "∪": r"\cup ", "∈": r"\in "}
)
UNITS = {  # spelling → unit; two answers in different units differ, whatever their numbers
    name: names.split()[0]
    for names in (
        "mm millimeter millimeters", "cm centimeter centimeters centimetre centimetres", "m meter meters metre metres",
        "km kilometer kilometers kilometre kilometres", "inch inches", "ft foot feet", "yd yard yards",
        "mile miles mi", "mg milligram milligrams", "g gram grams", "kg kilogram kilograms", "lb lbs pound pounds",
        "ml milliliter milliliters", "l L liter liters litre litres", "s sec second seconds", "min minute minutes",
        "h hr hour hours", "day days", "week weeks", "month months", "year years", "dollar dollars", "cent cents",
    )
    for name in names.split()
}  # fmt: skip
UNIT = re.compile(r"[\d})]\s*(?:\\[,; ]|~)?\s*(?:\\(?:text|mathrm|textrm|mbox)\s*\{\s*([a-zA-Z]+)\s*\}|([a-zA-Z]+))"
                  r"(\s*\^\s*\{?\d\}?)?\s*$")  # fmt: skip


def tidy(text: str) -> str:
    """An answer without the marks around it and with LaTeX in the place of signs: `$½$` is `\\frac{1}{2}`."""
    text = text.strip()
    if (whole := DELIMITED.fullmatch(text)) is not None:
        text = next(part for part in whole.groups() if part is not None)
    text = CURRENCY.sub(r"\1", text.strip().rstrip(".").strip()) if text.count("$") < 2 else text
    text = text.translate(SIGNS)
    text = re.sub(r"(?<=\d)(?:\{,\}|\\,|\\!)(?=\d{3})|\\!", "", text)
    if scientific := SCIENTIFIC.fullmatch(text):
        text = rf"{scientific[1]} \times 10^{{{int(scientific[2])}}}"
    text = text.strip()
    return text.replace(" ", "") if SPACED.fullmatch(text) else text


def plain_number(text: str) -> Fraction | None:
    """The value of a plain decimal number ("1,234.50", "1e3"), exact; None for anything else."""
    stripped = text.strip().strip("$").strip()
    if len(stripped) >= 400:
        return None
    if scientific := SCIENTIFIC.fullmatch(stripped):
        return Fraction(scientific[1].rstrip(".")) * Fraction(10) ** int(scientific[2])
    tidied = stripped if PLAIN.fullmatch(stripped) else tidy(stripped)
    return Fraction(tidied.replace(",", "").removesuffix(".")) if PLAIN.fullmatch(tidied) else None


def split_percent(text: str) -> tuple[str, bool]:
    """An answer without its percent sign, and whether it had one."""
    bare = PERCENT.sub("", text)
    return bare, bare != text


def equal_numbers(answer: tuple[Fraction, bool], gold: tuple[Fraction, bool]) -> bool:
    """Whether two numbers are equal, each with or without a percent sign.

    Where only one has the sign, it may stand for a hundredth or be left out: 50 % is 0.5, and 50 is 50 %.
    """
    (ours, ours_percent), (theirs, theirs_percent) = answer, gold
    if ours_percent == theirs_percent:
        return ours == theirs
    return ours == theirs or (ours / 100 == theirs if ours_percent else theirs / 100 == ours)


def unit_of(text: str) -> tuple[str, str] | None:
    """The unit behind a number and its power, "" for none: ("cm", "2"); None where there is none that is known."""
    found = UNIT.search(text)
    name = UNITS.get(found[1] or found[2]) if found else None
    return (name, "".join(filter(str.isdigit, found[3] or ""))) if found and name else None


def kind_of(text: str) -> str:
    """ "set" for `\\{1, 2\\}`, "tuple" for `(1, 2)`, "" for anything else."""
    bare = text.replace("\\left", "").replace("\\right", "").strip()
    if "," not in bare:
        return ""
    if bare.startswith("\\{") and bare.endswith("\\}"):
        return "set"
    return "tuple" if bare[0] == "(" and bare[-1] == ")" and "(" not in bare[1:] else ""


def sides_of(text: str) -> list[str]:
    """What an answer says its value is: `x = 5` → [5], `3 + 4 = 7` → [3 + 4, 7], `5` → [5].

    The last side, and those before it that hold no variable. What holds a comma is a list, not an equation.
    """
    if "," in text or ";" in text:
        return [text]
    while (named := NAMED.match(text)) is not None:
        text = text[named.end() :]
    *earlier, last = (side.strip() for side in EQUALS.split(text))
    return [*(side for side in earlier if not LETTER.search(COMMAND.sub("", side))), last]
