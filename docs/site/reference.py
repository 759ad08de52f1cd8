"""The pages of the reference, one for each config group: made of the option files and the schema's own words."""

from __future__ import annotations

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CONF = REPOSITORY / "conf"
SCHEMA = {"model": "r1lab/config/model.py:Model"} | {
    name.lower(): f"r1lab/config/schema.py:{name}"
    for name in ("Adapter", "Dataset", "Engine", "Accelerator", "Cluster", "Eval", "Hub", "Sweep", "Run")
}
ABOUT = {"trainer": "It follows the task, and the model where there is a file for both (`for/MODEL-TASK`)."}


def pages() -> dict[str, str]:
    """name → Markdown: a page for each group, one for the experiments, one for the keys that stand in no group."""
    groups = [folder for folder in sorted(CONF.iterdir()) if folder.is_dir()]
    made = {folder.name: group_page(folder) for folder in groups}
    made["experiment"] = options_page(
        "experiment", REPOSITORY / "experiments", "A whole run by name: `experiment=NAME`."
    )
    made["keys"] = "# Keys without a group\n\n" + "\n\n".join(
        f"## {title}\n\n{schema_of(name)}" for title, name in (("One run", "run"), ("eval", "eval"), ("sweep", "sweep"))
    )
    return made


def group_page(folder: Path) -> str:
    """A group: what its keys mean, and every option."""
    return options_page(folder.name, folder, ABOUT.get(folder.name, ""))


def options_page(group: str, folder: Path, about: str) -> str:
    """The options of a folder of YAML files, each with its words and its keys."""
    files = sorted(folder.rglob("*.yaml"))
    names = [str(file.relative_to(folder).with_suffix("")) for file in files]
    parts = [f"# {group}", about] if about else [f"# {group}"]
    if group in SCHEMA:
        parts.append(schema_of(group))
    parts.append("Options: " + ", ".join(f"[{name}](#{anchor(name)})" for name in names))
    for name, file in zip(names, files, strict=True):
        lines = file.read_text(encoding="utf-8").splitlines()
        comment = [line.lstrip("# ") for line in lines if line.startswith("#")][:4]
        first = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
        body = "\n".join(lines[first:])
        parts.append(f"## {name} {{#{anchor(name)}}}")
        said, words = escape(" ".join(comment)), docstring_of(body)
        parts += [words] if words.startswith(said) else [said, words]
        parts.append(f"```yaml\n{body}\n```" if body.strip() else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def anchor(name: str) -> str:
    """An option's anchor."""
    return name.replace("/", "-").replace(".", "_").lower()


def schema_of(group: str) -> str:
    """A dataclass of the schema: its docstring, and its fields with their types and defaults."""
    file, _, name = SCHEMA[group].partition(":")
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    node = next(item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == name)
    said = "\n\n".join(" ".join(part.split()) for part in (ast.get_docstring(node) or "").split("\n\n"))
    rows = [
        f"| `{item.target.id}` | `{ast.unparse(item.annotation).replace('|', 'or')}` | `{default(item.value)}` |"
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]
    prefix = "" if group == "run" else f"`{group}.…`"
    return "\n".join([escape(said), "", f"| key {prefix} | type | default |", "|---|---|---|", *rows])


def default(value: ast.expr | None) -> str:
    """A field's default as YAML has it."""
    if isinstance(value, ast.Call):
        factory = next((word.value for word in value.keywords if word.arg == "default_factory"), None)
        return {"list": "[]", "dict": "{}"}.get(ast.unparse(factory) if factory else "", "its own keys")
    text = ast.unparse(value) if value else "must be given"
    return {"None": "null", "True": "true", "False": "false", "'???'": "must be given"}.get(text, text.strip("'"))


def docstring_of(body: str) -> str:
    """The first paragraph of what an option's `_target_` says of itself, where it is r1lab's own."""
    target = next((line.partition(":")[2].strip() for line in body.splitlines() if "_target_: r1lab." in line), "")
    module, _, name = target.rpartition(".")
    file = REPOSITORY / (module.replace(".", "/") + ".py")
    if not module or not file.is_file():
        return ""
    found = next((n for n in ast.parse(file.read_text()).body if getattr(n, "name", "") == name), None)
    if not isinstance(found, ast.FunctionDef | ast.ClassDef):
        return ""
    said = (ast.get_docstring(found) or "").split("\n\n")[0]
    return f"{escape(' '.join(said.split()))} (`{target}`)" if said else ""


def escape(text: str) -> str:
    """Text that Markdown shows as it stands, code in backticks aside."""
    parts = text.split("`")
    shown = [
        part if place % 2 else part.replace("<", "&lt;").replace("*", r"\*").replace("[", r"\[").replace("_", r"\_")
        for place, part in enumerate(parts)
    ]
    return "`".join(shown)
