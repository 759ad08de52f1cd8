"""Every message that r1lab has for its user, read from its source: findings before a run, and errors that are raised.

What a message fills in when it is said stands as … in its pattern.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType

SOURCE = Path(__file__).parents[2] / "r1lab"
RAISED = {
    *("ConfigError", "UserError", "DataError", "ResumeError", "RunError", "RewardError", "EngineError"),
    *("SandboxError", "HubError", "SlurmError", "StorageError", "Requeue", "ReportError"),
}
GAP = "…"


@dataclass(frozen=True)
class Message:
    """One message. `fix` and `nearest` are what it says under these words; `kind` is "error", "warning" or an error's
    name; `module` says where it comes from, as r1lab.plan.batch."""

    text: str
    kind: str
    module: str
    line: int
    fix: str = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches the message as it is said."""
        parts = [re.escape(part) for part in self.text.split(GAP)]
        return re.compile(".*".join(parts), re.DOTALL)


@lru_cache(maxsize=1)
def messages() -> list[Message]:
    """All of them, by module and line."""
    found: list[Message] = []
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(("r1lab", *file.relative_to(SOURCE).with_suffix("").parts))
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        tellers = {name: place for item in functions if (name := item.name) and (place := _handed_on(item)) is not None}
        for function in [tree, *functions]:
            found += _of_function(function, module, tellers)
    unique = {(item.module, item.line, item.text): item for item in found}
    return sorted(unique.values(), key=lambda item: (item.module, item.line))


def _handed_on(function: ast.FunctionDef) -> int | None:
    """The place of the parameter that a function hands on as a message; None where it has none."""
    names = [item.arg for item in function.args.args if item.arg != "self"]
    for call in (
        node for node in _own_nodes(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ):
        first = call.args[0] if call.args else None
        if (call.func.id == "Finding" or call.func.id in RAISED) and isinstance(first, ast.Name) and first.id in names:
            return names.index(first.id)
    return None


def _of_function(
    function: ast.AST, module: str, tellers: Mapping[str, int] = MappingProxyType({})
) -> Iterator[Message]:
    """The messages that a function says; `tellers` hand on what they are given."""
    inner = list(_own_nodes(function))
    for call in (node for node in inner if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        words = {word.arg: word.value for word in call.keywords}
        if name == "Finding":
            what = call.args[0] if call.args else words.get("what")
            fix = call.args[3] if len(call.args) > 3 else words.get("fix")
            severity = words.get("severity")
            kind = str(severity.value) if isinstance(severity, ast.Constant) else "error"
            fixes = texts(fix, call.lineno, inner) if fix is not None else [""]
            for text in texts(what, call.lineno, inner):
                yield Message(text, kind, module, call.lineno, " / ".join(filter(None, dict.fromkeys(fixes))))
        elif name in tellers and len(call.args) > tellers[name]:
            fixes = texts(words["fix"], call.lineno, inner) if "fix" in words else [""]
            for text in texts(call.args[tellers[name]], call.lineno, inner):
                yield Message(text, "error", module, call.lineno, " / ".join(filter(None, dict.fromkeys(fixes))))
        elif (
            name in RAISED and call.args and not (name == "ConfigError" and not isinstance(call.args[0], ast.JoinedStr))
        ):
            for text in texts(call.args[0], call.lineno, inner):
                said, _, rest = text.partition("\n")
                fix = re.search(r"^\s+fix\s+(.*)$", rest, re.M)
                yield Message(said, name, module, call.lineno, fix[1] if fix else "")


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside it."""
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)


def texts(node: ast.AST | None, line: int, inner: list[ast.AST]) -> list[str]:
    """The texts that an expression may stand for; a name is looked up among what its function assigned before."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if isinstance(node.value, str) else [""]
    if isinstance(node, ast.JoinedStr):
        parts = [
            [str(part.value)] if isinstance(part, ast.Constant) else texts(getattr(part, "value", None), line, inner)
            for part in node.values
        ]
        whole = {re.sub(f"{GAP}+", GAP, "".join(choice)) for choice in product(*parts)}
        return sorted(whole)
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, line, inner), *texts(node.orelse, line, inner)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in texts(value, line, inner)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = texts(node.left, line, inner), texts(node.right, line, inner)
        return [re.sub(f"{GAP}+", GAP, f"{a or GAP}{b or GAP}") for a in left for b in right]
    if isinstance(node, ast.Name):
        known = [found for item in inner if (found := _assigned(item, node.id)) and found[0] < line]
        if known:
            at, value = max(known, key=lambda pair: pair[0])
            return texts(value, at, inner)
    return [GAP]


def _assigned(item: ast.AST, name: str) -> tuple[int, ast.AST] | None:
    """The line and the value of an assignment to a name, also as one of several."""
    if isinstance(item, ast.NamedExpr) and item.target.id == name:
        return item.lineno, item.value
    if not isinstance(item, ast.Assign):
        return None
    target, value = item.targets[0], item.value
    if isinstance(target, ast.Name) and target.id == name:
        return item.lineno, value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        pairs = zip(target.elts, value.elts, strict=True)
        return next(((item.lineno, part) for to, part in pairs if isinstance(to, ast.Name) and to.id == name), None)
    return None


def as_page() -> str:
    """The messages as Markdown, a heading for each room and module."""
    lines: list[str] = []
    room = ""
    rooms = {
        name: ast.get_docstring(ast.parse((SOURCE / name / "__init__.py").read_text())) or ""
        for name in {item.module.split(".")[1] for item in messages()}
        if (SOURCE / name / "__init__.py").is_file()
    }
    last = ""
    for item in messages():
        if item.text.strip(f" {GAP}.:") == "":
            continue  # passed on from somewhere else, where it has its own entry
        mine = item.module.split(".")[1]
        if mine != room:
            room = mine
            lines += ["", f"### {room}", "", rooms.get(room, "").split("\n")[0], ""]
        where = f"{item.module}"
        if where != last:
            last = where
            file = SOURCE / ("/".join(item.module.split(".")[1:]) + ".py")
            about = (ast.get_docstring(ast.parse(file.read_text())) or "").split("\n\n")[0].replace("\n", " ")
            lines += ["", f"**{item.module}**: {_escape(about)}", ""]
        note = "" if item.kind == "error" else f" ({'a warning' if item.kind == 'warning' else item.kind})"
        fix = f" — *fix:* {_code(item.fix)}" if item.fix.strip(f" {GAP}") else ""
        lines.append(f"- {_code(item.text)}{note}{fix}")
    return "\n".join(lines)


def _code(text: str) -> str:
    flat = " ".join(text.split())
    fence = "``" if "`" in flat else "`"
    space = " " if "`" in flat else ""
    return f"{fence}{space}{flat}{space}{fence}"


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", r"\*").replace("[", r"\[")
