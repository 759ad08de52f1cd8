"""The rooms and what they may import, read from the source; and that the command line loads no heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import r1lab

PACKAGE = Path(r1lab.__file__).parent
MODULES = {
    ".".join(("r1lab", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
}
LONGEST = 300
HEAVY = ("torch", "transformers", "datasets", "trl", "accelerate", "matplotlib", "numpy", "pyarrow", "math_verify")
NO_TRAINING = {"torch", "transformers", "datasets", "trl", "accelerate"}
LIGHT = (
    "plan",
    "pipeline",
    "doctor",
    "recipes",
    "config",
    "runs",
    "slurm",
    "wording",
    "errors",
    "main",
)  # rooms that never import NO_TRAINING
# anybody may import these, and they import nothing above them
FLOOR = {"errors", "hardware", "processes", "terminal", "wording"}
NODE = {"launch", "launch.ending", "launch.environment", "launch.heartbeat", "launch.roles", "launch.serving"}
MAY_IMPORT = {
    "errors": set(),
    "hardware": set(),
    "terminal": set(),
    "wording": set(),
    "processes": {"wording"},
    "config": FLOOR,
    "runs": FLOOR,
    "rows": {"config", "runs", *FLOOR},
    "plan": {"config", "launch.roles", "rows", "runs", "slurm", *FLOOR},
    "console": {"plan", "report", *FLOOR},
    "doctor": {"config", "plan", *FLOOR},
    "recipes": {"config", "plan", *FLOOR},
    "launch.roles": FLOOR,  # pure: the planner reads it as well
    "launch.environment": {"hardware", "launch"},
    "launch.heartbeat": {"runs"},
    "launch.serving": {"config", "launch.roles"},
    "launch.ending": {"launch", "runs", *FLOOR},
    "launch.supervisor": {*NODE, "config", "runs", *FLOOR},
    "launch.node": {"launch", "launch.supervisor", *FLOOR},
    "launch.agent": {"launch", "runs", *FLOOR},
    "slurm": {"launch.roles", "runs", *FLOOR},
    "launch.again": {"plan", "runs", *FLOOR},
    "launch.slurm": {"config", "launch", "launch.again", "plan", "runs", "slurm", *FLOOR},
    "launch.place": {"launch.supervisor", "slurm"},
    "launch.slurm_node": {"launch", "launch.place", "launch.supervisor", "runs", *FLOOR},
    "launch.ray": {
        "config",
        "launch",
        "launch.environment",
        "launch.place",
        "launch.supervisor",
        "runs",
        "slurm",
        *FLOOR,
    },
    "launch.local": {"launch.environment", "launch.supervisor", "launch.worker", "runs", "slurm", *FLOOR},
    "launch.audit": {"runs", *FLOOR},
    "launch": {"processes"},
    "pipeline": {"config", "plan", "launch", "launch.local", "launch.slurm", "report", "runs", "slurm", *FLOOR},
    "notebook": {"config", "plan", "launch.local", *FLOOR},
    "main": {"console", "config", "plan", "launch", "launch.again", "launch.local", "runs", *FLOOR},
    "__init__": {"notebook"},
    "__main__": {"main"},
    # after the process boundary; the worker finds its task by the name in run.yaml
    "launch.worker": {
        "launch",
        "launch.beside",
        "report",
        "runs",
        *FLOOR,
    },
    "launch.beside": {"hub", "runs", *FLOOR},
    "hub": {"config", "runs", *FLOOR},
    "trackers": {"config", "runs", *FLOOR},
    "report": {"runs", *FLOOR},
    "engines": {"remote", *FLOOR},
    "data": {"config", "rows", *FLOOR},
    "remote": FLOOR,
    "sandbox": {"config", *FLOOR},
    "providers": {"config", "remote", "sandbox", *FLOOR},
    "sandbox_server": {"providers", "sandbox", *FLOOR},
    "rewards": {"config", "sandbox", *FLOOR},
    "evaluation": {"config", "data", "engines", "rewards", "rows", "runs", *FLOOR},
    "trainers": {"data", "engines", "evaluation", "rewards", "runs", *FLOOR},
    "generation": {
        "config",
        "data",
        "engines",
        "evaluation",
        "launch",  # the name of the folder where a run's nodes speak to each other
        "models",
        "rewards",
        "runs",
        *FLOOR,
    },
    "evaluators": {"config", "engines", "evaluation", "generation", "rewards", "runs", "sandbox", *FLOOR},
    "models": {"config", "data", "runs", "trainers", *FLOOR},  # the tiny model is trained on first use
    "tasks": {
        "config",
        "data",
        "doctor",
        "engines",
        "evaluation",
        "generation",
        "hub",
        "launch",  # the names of what a launch puts into the environment
        "models",
        "recipes",
        "report",
        "rewards",
        "rows",
        "runs",
        "sandbox",
        "sandbox_server",
        "slurm",
        "trainers",
        *FLOOR,
    },
}


def room_of(module: str) -> str:
    """The room a module stands in; launch's two sides are rooms of their own."""
    inner = module.partition(".")[2] or "__init__"
    return inner if inner.startswith("launch") else inner.partition(".")[0]


def imports_of(module: str, inside_functions: bool = True) -> Iterator[str]:
    """Modules that a module imports; of r1lab's own, the module and not the name in it."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if inside_functions else iter(statements_at_import(tree.body))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def statements_at_import(body: list[ast.stmt]) -> list[ast.AST]:
    """The statements that run when a module is imported: those outside functions and `if TYPE_CHECKING`."""
    found: list[ast.AST] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            found += statements_at_import([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            found += statements_at_import([*node.body, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.With | ast.ClassDef):
            found += statements_at_import(node.body)
    return found


def own_imports(module: str, inside_functions: bool = True) -> set[str]:
    return {name for name in imports_of(module, inside_functions) if name in MODULES and name != module}


def reached_from(module: str) -> set[str]:
    """Every module that importing one brings in, packages above them included."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        parts = name.split(".")
        parents = {".".join(parts[:depth]) for depth in range(1, len(parts))}
        todo += [*own_imports(name, inside_functions=False), *(parents & set(MODULES))]
    return seen


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    room = room_of(module)
    others = {name for name in own_imports(module) if room_of(name) != room}
    allowed = MAY_IMPORT[room]
    assert {name for name in others if room_of(name) not in allowed} == set()


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_every_allowance_is_used(room: str) -> None:
    inside = [module for module in MODULES if room_of(module) == room]
    assert inside, "a room without modules"
    used = {room_of(name) for module in inside for name in own_imports(module)}
    assert MAY_IMPORT[room] - FLOOR - used == set()


def test_no_module_reaches_itself() -> None:
    graph = {module: own_imports(module) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import in a circle: {' → '.join(error.args[1])}")


def test_rooms_do_not_form_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        below = {room_of(name) for name in own_imports(module)}
        graph.setdefault(room_of(module), set()).update(below - {room_of(module)})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"rooms import in a circle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize(
    "module",
    [
        "r1lab.main",
        "r1lab.notebook",
        "r1lab.plan.request",
        "r1lab.launch.local",
        "r1lab.pipeline.run",
        "r1lab.tasks.doctor",
        "r1lab.tasks.import_recipe",
    ],
)
def test_planning_reaches_no_heavy_library(module: str) -> None:
    reached = reached_from(module)
    foreign = {name.partition(".")[0] for item in reached for name in imports_of(item, inside_functions=False)}
    assert foreign & set(HEAVY) == set()
    assert "r1lab.errors" in reached


def test_plan_imports_no_training_library_even_late() -> None:
    rooms = [module for module in MODULES if room_of(module) in LIGHT]
    assert {name.partition(".")[0] for module in rooms for name in imports_of(module)} & NO_TRAINING == set()


def test_nothing_imports_a_task_by_name() -> None:
    importers = {module for module in MODULES for name in own_imports(module) if name.startswith("r1lab.tasks")}
    assert {module for module in importers if not module.startswith("r1lab.tasks")} == set()


def test_modules_are_short_and_named_for_what_they_hold() -> None:
    lengths = {module: len(file.read_text().splitlines()) for module, file in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > LONGEST} == {}
    assert [module for module in MODULES if module.rpartition(".")[2] in ("utils", "helpers", "common", "misc")] == []
    assert max(module.count(".") for module in MODULES) <= 2  # two folders deep


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_opens_by_saying_what_it_is(module: str) -> None:
    text = MODULES[module].read_text()
    if len(text.splitlines()) > 5:
        assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["--help"], ["dry_run=true"], ["trainer.lerning_rate=1"]])
def test_the_command_line_is_light(arguments: list[str]) -> None:
    code = (
        "import sys, r1lab.main\n"
        "try:\n    r1lab.main.main()\n"
        "finally:\n    print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert result.returncode == (2 if "lerning" in arguments[-1] else 0)
    loaded = set(result.stderr.splitlines()[-1].split())
    assert {"hydra", "r1lab", "omegaconf"} <= loaded
    assert loaded & set(HEAVY) == set()
