"""Where the final answer of a completion stands, and where that of a gold solution does."""

from __future__ import annotations

import re
from bisect import bisect_left

THOUGHT = "</think>"
OPEN, CLOSE = "<answer>", "</answer>"
LONGEST = 2000  # characters of an answer that are worth reading

BRACE = re.compile(  # `\{` is a brace to print, not one that groups; `\boxed 5` needs none
    r"\\(?:boxed|fbox)\s*\{|\\boxed\s+(?P<bare>-?\d+(?:[.,]\d+)*)|\\.|\{|\}", re.DOTALL
)  # each way begins with one letter, for which `re` searches fast; `[{}]` makes it try every place, 3.5 times slower
BETWEEN = re.compile(r"[\s$.]*(?:[,;]|,?\s*(?:and|or)\b|,?\s*\\text\{\s*(?:and|or)\s*\})?[\s$]*")
MOST_BETWEEN = 40  # characters between boxes that are one answer together

MARKED_LONGEST = 300  # characters between marks; bounded, so that no text takes more than linear time
NUMBER = r"-?\d+(?:[.,]\d+)?"
PIECE = (  # LaTeX between its marks
    rf"(?:\$\$[^$]{{1,{MARKED_LONGEST}}}?\$\$|\\\[.{{1,{MARKED_LONGEST}}}?\\\]|(?<![\\\d])\$[^\n$]{{1,{MARKED_LONGEST}}}?\$"
    rf"|\\\([^\n]{{1,{MARKED_LONGEST}}}?\\\)|-?\\frac\{{{NUMBER}\}}\{{{NUMBER}\}})(?:\s*\\?%)?"
)
PIECES = rf"({PIECE}(?:\s*(?:,?and|,?or|,)\s*{PIECE}){{0,5}})"
ANCHORED = [  # the surest first
    re.compile(rf"(?i:final answer.{{0,100}}?)\s+is:?\s*{PIECES}", re.DOTALL),
    re.compile(rf"(?i:answer):.{{0,50}}?{PIECES}", re.DOTALL),
    re.compile(rf"(?i:answer).{{0,50}}?{PIECES}", re.DOTALL),
]
MARKS = ("$", "\\(", "\\[", "\\frac")

MARKED = re.compile(r"####\s*(\S[^\n]*)")  # how GSM8K ends its solutions
SENTENCE = re.compile(r"[A-Za-z]{2,} +[A-Za-z]{2,}")  # two words in a row: prose, not a formula
COMMAND = re.compile(r"\\[a-zA-Z]+\s*(?:\{[^{}]*\})?")
SAID = re.compile(r"(?i:answer|result)(?: is| =|:)\s*(\S.{0,80}?)\.?\s*$")
DOUBTFUL = re.compile(r"(?i:\b(?:not|never|neither|nor|or|no|option|choice|maybe|perhaps|isn't)\b)|\b[B-Z]\b")
SENTENCE_OF_ONE = re.compile(  # "The answer is 5." and "Therefore $x = 5$."
    r"(?P<lead>[A-Za-z][A-Za-z ,']{0,80}?)"
    r"(?:(?<=[Aa]nswer|[Rr]esult)(?: is:?| =|:)\s*(?P<said>[^\s$][^\n$]{0,80}?)"
    r"|[ :]\s*(?P<marked>\$[^$\n]{1,200}\$))\s*\.?"
)
FIGURE = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?(?:\s*\\?%)?")


def final_answer(text: str) -> str | None:
    """The final answer of a completion; None where there is none.

    After `</think>`, the last `\\boxed{…}`; else the last `<answer>` block; else LaTeX between its marks (`$…$`,
    `\\(…\\)`, `\\[…\\]`) behind the word "answer". Where nothing of that stands after `</think>`, the same in the whole
    text. A number without box, block or mark is never taken, so that an answer cannot be guessed.
    """
    said = text.rpartition(THOUGHT)[2]
    for part in dict.fromkeys((said, text)):
        for find in (last_boxed, last_block, last_anchored):
            found = find(part)
            if found is not None:
                return found
    return None


def last_boxed(text: str) -> str | None:
    """The content of the last whole `\\boxed{…}`, its braces balanced; of boxes in a box, the outermost one's.

    Boxes with nothing between them but white space, "and", "or" or a comma are one answer together: `2, 3`.
    """
    opened: list[tuple[int, int] | None] = []  # of each brace that is open: where a box and its content begin
    boxes: list[tuple[int, int, int, int]] = []  # where a box begins, its content begins and ends, it ends
    inner: list[tuple[int, int]] = []  # what to leave out: the marks of boxes in a box
    for brace in BRACE.finditer(text):
        if brace["bare"]:
            boxes.append((brace.start(), brace.start("bare"), brace.end(), brace.end()))
        elif brace[0] == "}":
            box = opened.pop() if opened else None
            if box is not None:
                while boxes and boxes[-1][0] > box[0]:
                    begin, start, end, after = boxes.pop()
                    inner += [(begin, start), (end, after)]
                boxes.append((*box, brace.start(), brace.end()))
        elif brace[0][-1] == "{" and brace[0] != "\\{":
            opened.append((brace.start(), brace.end()) if len(brace[0]) > 1 else None)
    if not boxes:
        return None
    inner.sort()
    begin, start, end, _ = boxes.pop()
    contents = [without(text, start, end, inner)]
    while boxes:
        earlier, start, end, after = boxes.pop()
        if not 0 <= begin - after <= MOST_BETWEEN or not BETWEEN.fullmatch(text, after, begin):
            break
        content = without(text, start, end, inner)
        contents += [content] if content not in contents else []
        begin = earlier
    return ", ".join(reversed(contents))


def without(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> str:
    """A part of a text, with some of its spans, in order, left out."""
    kept = []
    first = bisect_left(spans, (start, start))
    for begin, after in spans[first : bisect_left(spans, (end, end), first)]:
        kept.append(text[start:begin])
        start = after
    return "".join([*kept, text[start:end]]).strip()


def last_block(text: str) -> str | None:
    """The content of the last `<answer>` block; of a sentence that names one answer ("The answer is 5"), that one."""
    start = text.rfind(OPEN, 0, max(0, text.rfind(CLOSE)))
    if start < 0:
        return None
    content = text[start + len(OPEN) : text.find(CLOSE, start)].strip()
    named = SENTENCE_OF_ONE.fullmatch(content) if len(content) <= LONGEST else None
    if named is None or DOUBTFUL.search(named["lead"]):
        return content
    return next(part for part in (named["said"], named["marked"]) if part).strip()


def last_anchored(text: str) -> str | None:
    """The last LaTeX within 50 characters behind the word "answer", "final answer … is" before all; None without."""
    if "answer" not in text.lower() or not any(mark in text for mark in MARKS):
        return None
    for pattern in ANCHORED:
        found = max(pattern.finditer(text), key=re.Match.end, default=None)
        if found:
            return found[1].strip()
    return None


def gold_answer(solution: object) -> str:
    """The answer in a gold solution: a number, LaTeX, `#### 5`, a sentence, or a worked text with a box."""
    text = str(solution).strip()
    for find in (last_boxed, last_block):
        found = find(text)
        if found is not None:
            return found
    if marked := MARKED.findall(text):
        return str(marked[-1]).strip()
    if len(text) > LONGEST or any(mark in text for mark in MARKS[:3]) or not is_sentence(text):
        return text
    if said := SAID.search(text):
        return said[1].strip()
    figures = FIGURE.findall(text)
    return str(figures[-1]) if figures else text


def is_sentence(text: str) -> bool:
    """Whether a text is prose: two words in a row, outside LaTeX commands."""
    return SENTENCE.search(COMMAND.sub(" ", text)) is not None
