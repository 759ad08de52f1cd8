"""How numbers, units and lists are written: what can be told of two answers without a computer algebra system."""

from __future__ import annotations

import re
from fractions import Fraction

PLAIN = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?|[+-]?\.\d+")
SCIENTIFIC = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[eE]([+-]?\d{1,3})")
PERCENT = re.compile(r"\s*(?:\\?%|\\text\{\s*percent\s*\}|percent)\s*$")
RATIO = re.compile(r"([+-]?)\\[dt]?frac\{(\d{1,99})\}\{(\d{1,99})\}|([+-]?)(\d{1,99})/(\d{1,99})")
BRACKETED = re.compile(r"(\(|\[|\\\{)([^()\[\]{}]*(?:\\frac\{\d+\}\{\d+\}[^()\[\]{}]*)*)(\)|\]|\\\})")
SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])")
IRRATIONAL = r"(?:\\pi|\\sqrt\{(?P<root>\d{1,40})\})"
MULTIPLE = re.compile(
    rf"(?P<sign>[+-]?)(?P<factor>\d{{1,40}}|\\[dt]?frac\{{\d{{1,40}}\}}\{{\d{{1,40}}\}})? ?{IRRATIONAL} ?"
)
MULTIPLE_ABOVE = re.compile(
    rf"(?P<sign>[+-]?)\\[dt]?frac\{{(?P<factor>\d{{1,40}})? ?{IRRATIONAL} ?\}}\{{(?P<below>\d{{1,40}})\}}"
)
CURRENCY = re.compile(r"^([+-]?)\s*(?:\\?\$|[€£¥])\s*(?=[\d.])")
DELIMITED = re.compile(r"\$\$([^$]*)\$\$|\$([^$]*)\$|\\\(((?:(?!\\\)).)*)\\\)|\\\[((?:(?!\\\]).)*)\\\]", re.DOTALL)
NAMED = re.compile(r"\s*\\?[A-Za-z]\w{0,10}(?:\(\w\))?\s*=(?!=)")  # `x = `, before the value
EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)")
NEAR = Fraction(1, 10**5)  # of a number's size: how far a rounded one may be off
Number = tuple[tuple[Fraction, bool], bool]  # what `rational` gives, and whether a percent sign follows
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
UNIT = re.compile(
    r"(?<=[\d})])(?P<space>\s*(?:\\[,; ]|~)?\s*)"
    r"(?:\\(?:text|mathrm|textrm|mbox)\s*\{\s*(?P<text>[a-zA-Z]+)\s*\}|(?P<bare>[a-zA-Z]+))"
    r"(?:\s*\^\s*\{?(?P<power>\d)\}?)?\s*$"
)
FRACTION = re.compile(r"\\([dt]?)frac\s*(\d)\s*(\d)")  # TeX takes the next two digits
BOLD = re.compile(
    r"\{\s*\\(?:bf|it|rm)(?![a-zA-Z])([^{}]*)\}|\\(?:mathbf|textbf|boldsymbol|bm|underline)\s*\{([^{}]*)\}|\*\*([^*]*)\*\*"
)
POWER_OF_TEN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*\\(?:times|cdot)\s*10\s*\^\s*(?:(\d)|\{([+-]?\d{1,3})\})")
ROOT = re.compile(r"√\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+|[A-Za-z]))")


def tidy(text: str) -> str:
    """An answer without the marks around it and with LaTeX in the place of signs: `$½$` is `\\frac{1}{2}`."""
    text = text.strip()
    if (bold := BOLD.fullmatch(text)) is not None:
        text = next(part for part in bold.groups() if part is not None).strip()
    if (whole := DELIMITED.fullmatch(text)) is not None:
        text = next(part for part in whole.groups() if part is not None).strip()
        if (bold := BOLD.fullmatch(text)) is not None:
            text = next(part for part in bold.groups() if part is not None)
    text = CURRENCY.sub(r"\1", text.strip().rstrip(".").strip()) if text.count("$") < 2 else text
    text = ROOT.sub(lambda root: rf"\sqrt{{{root[1] or root[2] or root[3]}}}", text).translate(SIGNS)
    text = re.sub(r"(?<=\d)(?:\{,\}|\\,|\\!)(?=\d{3})|\\!", "", text)
    text = FRACTION.sub(r"\\\1frac{\2}{\3}", text)
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


def rational(text: str) -> tuple[Fraction, bool] | None:
    """The value of a plain number or of a fraction of whole ones, and whether it is written as a fraction."""
    if power := POWER_OF_TEN.fullmatch(text):
        return Fraction(power[1].rstrip(".")) * Fraction(10) ** int(power[2] or power[3]), False
    ratio = RATIO.fullmatch(text)
    if ratio is None:
        number = plain_number(text)
        return None if number is None else (number, False)
    sign, top, bottom = (ratio[place] or ratio[place + 3] for place in (1, 2, 3))
    return (Fraction(int(f"{sign or ''}{top}"), int(bottom)), True) if int(bottom) else None


def split_percent(text: str) -> tuple[str, bool]:
    """An answer without its percent sign, and whether it had one."""
    bare = PERCENT.sub("", text)
    return bare, bare != text


def equal_numbers(answer: Number, gold: Number) -> bool:
    """Whether two numbers are equal: decimals exactly, a decimal and a fraction as far as a decimal can be.

    Where only one has a percent sign, it may stand for a hundredth or be left out: 50 % is 0.5, and 50 is 50 %.
    """
    (ours, ours_percent), (theirs, theirs_percent) = answer, gold
    if ours_percent == theirs_percent or alike(ours, theirs):
        return alike(ours, theirs)
    shares = [(value / 100, ratio) if percent else (value, ratio) for (value, ratio), percent in (answer, gold)]
    return alike(*shares)


def alike(first: tuple[Fraction, bool], second: tuple[Fraction, bool]) -> bool:
    """Equality of numbers without percent signs; ⅓ is 0.333333, rounded to six decimals and near enough besides."""
    (a, a_ratio), (b, b_ratio) = first, second
    if a_ratio == b_ratio or a == b:
        return a == b
    return round(a, 6) == round(b, 6) and abs(a - b) <= NEAR * max(abs(a), abs(b))


def split_unit(text: str) -> tuple[str, tuple[str, str] | None]:
    """An answer without the unit behind its number, and that unit with its power, "" for none: ("cm", "2").

    None for no unit that is known. A single letter right behind a digit stays: it may be a variable.
    """
    found = UNIT.search(text)
    name = UNITS.get(found["text"] or found["bare"]) if found else None
    if found is None or name is None:
        return text, None
    stays = found["bare"] and len(found["bare"]) == 1 and not found["space"]
    return text if stays else text[: found.start()].strip(), (name, found["power"] or "")


def kind_of(text: str) -> str:
    """ "set" for `\\{1, 2\\}`, "tuple" for `(1, 2)`, "" for anything else."""
    bare = text.replace("\\left", "").replace("\\right", "").strip()
    if "," not in bare:
        return ""
    if bare.startswith("\\{") and bare.endswith("\\}"):
        return "set"
    return "tuple" if bare[0] == "(" and bare[-1] == ")" and "(" not in bare[1:] else ""


def multiple(text: str) -> tuple[str, Fraction] | None:
    """A rational multiple of π or of a root, exactly: `\\frac{3\\pi}{2}` is ("π", 3/2), `-2\\sqrt{3}` is ("√", −12)."""
    found = MULTIPLE.fullmatch(text) or MULTIPLE_ABOVE.fullmatch(text)
    if found is None:
        return None
    parts = found.groupdict()
    value = rational(parts.get("factor") or "1")
    below = int(parts.get("below") or 1)
    if value is None or not below:
        return None
    factor = value[0] / below * (-1 if found["sign"] == "-" else 1)
    return ("√", factor * abs(factor) * int(found["root"])) if found["root"] else ("π", factor)


def collection(text: str) -> tuple[str, list[tuple[Fraction, bool]]] | None:
    """The brackets and the values of a set, tuple or interval of plain numbers and fractions: `[0, 1)` → "[)"."""
    found = BRACKETED.fullmatch(SIZES.sub("", text))
    if found is None or "," not in found[2]:
        return None
    values = [rational(part.strip()) for part in found[2].split(",")]
    known = [value for value in values if value is not None]
    return (found[1] + found[3], known) if len(known) == len(values) else None


def equal_exactly(answer: str, gold: str) -> bool | None:
    """Whether two answers of one form are equal: collections of numbers, in order unless they are sets, or multiples of
    π or of roots; None where that cannot be told here."""
    first, second = multiple(answer), multiple(gold)
    if first is not None and second is not None and first[0] == second[0]:
        return first[1] == second[1]
    ours, theirs = collection(answer), collection(gold)
    if ours is None or theirs is None or ours[0] != theirs[0]:
        return None
    pairs = [ours[1], theirs[1]]
    if ours[0] == "\\{\\}":
        pairs = [sorted(dict.fromkeys(values)) for values in pairs]
    return len(pairs[0]) == len(pairs[1]) and all(alike(*pair) for pair in zip(*pairs, strict=True))


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
