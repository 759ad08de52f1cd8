"""Names, types and defaults of parameters, read from source text without importing it.

TRL's and transformers' config classes have some 190 fields and take seconds to import; parsing their source takes
milliseconds. The same reader serves rewards and dataset loaders, so that a plug-in's signature is its schema.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Parameter:
    """One field of a class or parameter of a function.

    `annotation` is source text, "" where none was written. `keyword` marks parameters that come after `*`. `optional`
    marks those whose default is None.
    """

    name: str
    annotation: str
    required: bool
    keyword: bool = False
    optional: bool = False


def locate(module: str) -> Path | None:
    """The source file of `module`, found without running any package's `__init__`; None where there is none."""
    path: list[str] | None = None
    spec = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), path)
        if spec is None:
            break
        path = list(spec.submodule_search_locations or [])
    if spec is None and parts[0] in sys.modules:  # editable installs and namespace packages answer here
        spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _tree(module: str) -> ast.Module | None:
    file = locate(module)
    return ast.parse(file.read_text(encoding="utf-8")) if file else None


def _imported_from(tree: ast.Module, name: str, module: str) -> tuple[str, str] | None:
    """Where `name` comes from, by an import or by a lazy `_import_structure` table: (module, original name)."""
    package = module if (file := locate(module)) and file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                    source = f"{base}.{node.module}" if node.level else str(node.module)
                    return source.rstrip("."), alias.name
    return None


def _find(target: str) -> tuple[str, ast.ClassDef | ast.FunctionDef] | None:
    module, _, name = target.rpartition(".")
    tree = _tree(module) if module else None
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
    origin = _imported_from(tree, name, module)
    return _find(".".join(origin)) if origin and origin != (module, name) else None


def class_members(target: str) -> dict[str, object]:
    """Constants assigned in a class body (an enum's members), by name; empty where the class is not found."""
    found = _find(target)
    body = found[1].body if found else []
    assigned = [item for item in body if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)]
    return {ast.unparse(item.targets[0]): item.value.value for item in assigned if isinstance(item.value, ast.Constant)}


def field_metadata(target: str) -> dict[str, tuple[object, list[object]]]:
    """Of a dataclass's own `field(default=…, metadata={"choices": […]})`: name → (constant default, choices)."""
    found = _find(target)
    described: dict[str, tuple[object, list[object]]] = {}
    for item in found[1].body if found else []:
        if isinstance(item, ast.AnnAssign) and isinstance(item.value, ast.Call) and isinstance(item.target, ast.Name):
            given = {word.arg: word.value for word in item.value.keywords}
            default, about = given.get("default"), given.get("metadata")
            pairs = zip(about.keys, about.values, strict=True) if isinstance(about, ast.Dict) else []
            listed = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "choices"]
            values = list(ast.literal_eval(listed[0])) if listed and isinstance(listed[0], ast.List) else []
            described[item.target.id] = (default.value if isinstance(default, ast.Constant) else None, values)
    return described


@cache
def compared_with(module: str, attribute: str) -> frozenset[str]:
    """Texts that a module compares an attribute of that name with: the values that its code knows."""
    tree = _tree(module)
    found: set[str] = set()
    for node in ast.walk(tree) if tree else []:
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == attribute:
            inner = [item for value in node.comparators for item in getattr(value, "elts", [value])]
            found |= {item.value for item in inner if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    return frozenset(found)


def defined_in(module: str) -> list[str]:
    """Classes and functions at the top of a module; empty where it is not found."""
    tree = _tree(module)
    return [item.name for item in tree.body if isinstance(item, ast.ClassDef | ast.FunctionDef)] if tree else []


def exists(target: str) -> bool:
    """Whether the dotted name is a class or function whose source can be read."""
    return _find(target) is not None


@cache
def parameters(target: str) -> dict[str, Parameter] | None:
    """Parameters of a function, or fields of a dataclass with those of its bases, by name; None if not found.

    A function's `**columns` catch-all is left out; positional and keyword-only parameters are both kept. A class with
    an `__init__` of its own has the parameters of that.
    """
    found = _find(target)
    if found is None:
        return None
    module, node = found
    if isinstance(node, ast.FunctionDef):
        return _signature(node)
    if made := _method(node, "__init__"):
        return made
    fields: dict[str, Parameter] = {}
    tree = _tree(module)
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else ""
        origin = _imported_from(tree, name, module) if tree and name else None
        inherited = parameters(".".join(origin)) if origin else parameters(f"{module}.{name}") if name else None
        fields.update(inherited or {})
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            name = item.target.id
            annotation = ast.unparse(item.annotation)
            if not name.startswith("_") and "ClassVar" not in annotation:
                fields[name] = Parameter(name, annotation, item.value is None)
    return fields


def _method(node: ast.ClassDef, name: str) -> dict[str, Parameter] | None:
    """The parameters of a method without the first; None where the class does not define it."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == name:
            return dict(list(_signature(item).items())[1:])
    return None


def columns_and_settings(target: str) -> tuple[dict[str, Parameter], dict[str, Parameter]] | None:
    """What the dataset feeds of a reward, and what the config sets; None if it is not found.

    Of a function, positional parameters without a default are columns, those with the default None columns that may be
    missing, and the rest are settings. Of a class, the columns are those of `__call__`, all of `__init__` are settings.
    """
    found = _find(target)
    if found is None:
        return None
    declared = parameters(target) or {}
    called = _method(found[1], "__call__") or {} if isinstance(found[1], ast.ClassDef) else declared
    fed = {name: item for name, item in called.items() if not item.keyword and (item.required or item.optional)}
    if isinstance(found[1], ast.ClassDef):
        return fed, declared
    return fed, {name: item for name, item in declared.items() if name not in fed}


def _signature(node: ast.FunctionDef) -> dict[str, Parameter]:
    positional = node.args.posonlyargs + node.args.args
    defaults = [None] * (len(positional) - len(node.args.defaults)) + node.args.defaults
    pairs = [*zip(positional, defaults, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    result = {}
    for arg, default in pairs:
        annotation = ast.unparse(arg.annotation) if arg.annotation else ""
        optional = isinstance(default, ast.Constant) and default.value is None
        result[arg.arg] = Parameter(arg.arg, annotation, default is None, arg in node.args.kwonlyargs, optional)
    return result
