"""Annotations as source text: whether a value of a config fits one, and how one is said in words."""

from __future__ import annotations

import ast
from functools import cache

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
    "List": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "Dict": "a mapping",
    "None": "null",
}


def accepts(annotation: str, value: object) -> bool:
    """Whether a config value fits an annotation. Unknown annotations accept everything; int fits float, not back."""
    if not annotation:
        return True
    return _accepts(_expression(annotation), value)


@cache
def _expression(annotation: str) -> ast.expr:
    return ast.parse(annotation.strip("'\""), mode="eval").body


def _accepts(node: ast.expr, value: object) -> bool:
    if isinstance(node, ast.BinOp):
        return _accepts(node.left, value) or _accepts(node.right, value)
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else accepts(str(node.value), value)
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rpartition(".")[2]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer in ("Optional", "Union"):
            return (outer == "Optional" and value is None) or any(_accepts(item, value) for item in inner)
        if outer == "Literal":
            return value in [item.value for item in inner if isinstance(item, ast.Constant)]
        if outer in ("list", "List", "Sequence", "tuple"):
            return isinstance(value, list) and all(_accepts(inner[0], item) for item in value)
        return isinstance(value, dict) if outer in ("dict", "Dict") else True
    name = ast.unparse(node).rpartition(".")[2]
    checks = {
        "bool": lambda: isinstance(value, bool),
        "int": lambda: isinstance(value, int) and not isinstance(value, bool),
        "float": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "str": lambda: isinstance(value, str),
        "list": lambda: isinstance(value, list),
        "dict": lambda: isinstance(value, dict),
        "None": lambda: value is None,
    }
    return checks[name]() if name in checks else True


def in_words(annotation: str) -> str:
    """An annotation in words: "a number or null"."""
    return " or ".join(dict.fromkeys(_in_words(_expression(annotation))))


def _in_words(node: ast.expr) -> list[str]:
    if isinstance(node, ast.BinOp):
        return [*_in_words(node.left), *_in_words(node.right)]
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rpartition(".")[2]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer in ("Optional", "Union"):
            return [word for item in inner for word in _in_words(item)] + (["null"] if outer == "Optional" else [])
        return [ast.unparse(item) for item in inner] if outer == "Literal" else [KINDS.get(outer, outer)]
    name = ast.unparse(node).rpartition(".")[2]
    return [KINDS.get(name, name)]
