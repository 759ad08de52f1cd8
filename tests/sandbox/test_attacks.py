"""Attacks on the local sandbox, by cgroup, by watcher, and as a user without rights; and what an attack may learn."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import r1lab
from r1lab.errors import SandboxError
from r1lab.sandbox.base import Limits, Program, Test, Verdict
from r1lab.sandbox.box import Box
from r1lab.sandbox.job import Job
from r1lab.sandbox.local import LocalSandbox
from tests.sandbox.attack_programs import ALL, FINDERS, HEAD, HOGS, STAYERS, Attack
from tests.sandbox.attacking import Ring, targets

PYTHON = Path("/usr/bin/python3")
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks call by the numbers of x86_64")


@pytest.fixture(scope="module")
def aims() -> Iterator[dict[str, object]]:
    with targets() as found:
        yield found


TREES = ("cgroup", "watcher")


def attacks() -> Iterator[object]:
    """Every attack, each with who holds the limits: what takes or leaves something behind both, the others one by
    turns."""
    for tree in TREES:
        for number, attack in enumerate(ALL):
            both = attack in (*HOGS, *STAYERS, FINDERS[0])
            marks = () if both or TREES[number % 2] == tree else pytest.mark.slow
            yield pytest.param(tree, attack, id=f"{tree}-{attack.name}", marks=marks)


@pytest.fixture(scope="module")
def ring(request: pytest.FixtureRequest, aims: dict[str, object]) -> Iterator[Ring]:
    try:
        made = Ring(request.param, aims)
    except AssertionError as error:
        if request.param == "cgroup" and "no cgroup can be made" in str(error):
            pytest.skip("no cgroup can be made here")
        raise
    yield made
    made.close()


@pytest.mark.parametrize(("ring", "attack"), list(attacks()), indirect=["ring"], scope="module")
def test_withstands(ring: Ring, attack: Attack) -> None:
    ring.withstand(attack)


def test_withstands_as_a_user_without_rights(aims: dict[str, object]) -> None:
    if os.geteuid() != 0:
        pytest.skip("this user has no rights: the tests above say it")
    if not PYTHON.exists() or not shutil.which("setpriv"):
        pytest.skip("needs setpriv and a python3 that all users may run")
    same = subprocess.run([PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
    if same.stdout.strip() != str(sys.version_info[:2]):
        pytest.skip(f"{PYTHON} is of another version than this interpreter: it cannot import its packages")
    with tempfile.TemporaryDirectory() as folder:
        copy_for_all(Path(folder))
        done = subprocess.run(
            [*AS_NOBODY, PYTHON, "-B", "-m", "tests.sandbox.unprivileged"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": folder},
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == {}


def copy_for_all(folder: Path) -> None:
    """The package, what it imports and its attackers, where any user may read them."""
    root = Path(r1lab.__file__).parents[1]
    for name in ("r1lab", "conf", "experiments"):
        shutil.copytree(root / name, folder / name)
    for name in ("__init__.py", "sandbox/__init__.py", *(f"sandbox/{part}.py" for part in ATTACKERS)):
        (folder / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "tests" / name, folder / "tests" / name)
    code = "import sys, r1lab.sandbox.local; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    packages = Path(pytest.__file__).parents[1]
    for name in said.stdout.split():
        if (packages / name).is_dir():
            shutil.copytree(packages / name, folder / name, dirs_exist_ok=True)
        elif (packages / f"{name}.py").exists():
            shutil.copy(packages / f"{name}.py", folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


ATTACKERS = ("attack_programs", "attacking", "unprivileged")


# What another submission, or the judge, knows.

SECRET = "r1lab-canary-" + "0123456789abcdef" * 2
SCAN = (
    HEAD
    + r"""
import gc, re
seen = ""
wanted = re.compile(rb"r1lab-canary-[0-9a-f]{32}")
def look(where, content):
    if wanted.search(content): print("GOT", where)
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
    for line in maps:
        span, rights = line.split()[:2]
        if rights[0] == "r" and "[v" not in line:
            low, high = (int(part, 16) for part in span.split("-"))
            memory.seek(low)
            look("memory", memory.read(high - low))
            seen += line
for folder, folders, names in os.walk("/"):
    if folder == "/": folders[:] = set(folders) - {"usr"}
    if re.match(r"/proc/\d+/task|/proc/sys|/proc/\d+/(root|cwd)", folder): folders.clear()
    for name in names:
        path = os.path.join(folder, name)
        look("name", path.encode(errors="replace"))
        if name in ("mem", "kmsg", "kcore", "pagemap", "clear_refs") or folder == "/dev": continue
        try:
            with open(path, "rb") as file: look(path, file.read(1 << 20))
        except OSError: pass
look("environment", repr(os.environ).encode())
look("stdin", sys.stdin.buffer.read())
for thing in gc.get_objects():
    if isinstance(thing, (dict, list, tuple)): look("objects", repr(thing)[:100000].encode(errors="replace"))
look("libc", bytes((ctypes.c_char * (8 << 20)).from_address(libc.mmap(None, 8 << 20, 3, 0x22, -1, 0))))
print("done", all(part in seen for part in ("[heap]", "[stack]", "libc.so")))
"""
)
SECRETS = {
    "python": f"kept = '{SECRET}' * 100\nprint(input(), kept)\nopen('/tmp/{SECRET}', 'w').write(kept)\n",
    "bash": f"# {SECRET}\nread line; echo $line {SECRET} | tee /tmp/{SECRET} /dev/shm/x\nexport S={SECRET}\n",
    "c": f'#include <stdio.h>\nint main() {{ char s[99]; fgets(s, 99, stdin); printf("%s{SECRET}", s); return 3; }}\n',
}


@pytest.fixture(params=["auto", "watcher"])
def single(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    made = LocalSandbox(workers=1, tree=request.param)
    yield made
    made.close()


def test_nothing_of_earlier_submissions_or_of_the_answers_can_be_found(single: LocalSandbox) -> None:
    for language, source in SECRETS.items():
        program = Program(language, source, {f"{SECRET}.txt": SECRET}, (SECRET,))
        single.run(program, [Test(SECRET, SECRET)])
    box = single.idle[0]
    (outcome,) = single.run(Program("python", SCAN), [Test("{}\n", f"{SECRET} is the answer")], Limits(20, 40))
    assert outcome.verdict is Verdict.WRONG
    assert outcome.output == "done True\n", outcome
    assert single.idle == [box]


def test_the_scan_finds_what_is_there(single: LocalSandbox) -> None:
    (outcome,) = single.run(Program("python", SCAN, {"near.txt": SECRET}), [Test("{}\n")], Limits(20, 40))
    assert "GOT /tmp/box/near.txt" in outcome.output


# What is brought out of a box is a plain file that the program made, or nothing.

LINKS = {
    "link": "ln -s /etc/passwd program",
    "link to a folder": "ln -s /etc program",
    "fifo": "mkfifo program",
    "folder": "mkdir program",
    "socket": "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('program')\"",
    "device": "ln -s /dev/zero program || ln -s /dev/full program",
    "box moved away": "cd /tmp && mv box old && ln -s /etc box && ln -s passwd program",
    "exchanged after the end": "(while :; do ln -sf /etc/passwd program; echo fine > x; mv x program; done) & "
    "sleep 0.1; rm program; ln -sf /etc/passwd program",
}


@pytest.mark.parametrize("command", LINKS.values(), ids=LINKS)
def test_collects_only_plain_files_of_the_program(command: str) -> None:
    box = Box(PYTHON)
    done = box.run(Job(["bash", "-c", command], collect=["program"]), Limits(seconds=1, wall_seconds=3))
    box.close()
    assert done.failure == ""
    assert done.collected.get("program", b"fine\n") == b"fine\n"


def test_collects_through_no_link_in_the_place_of_its_folder() -> None:
    box = Box(PYTHON)
    done = box.run(Job(["sh", "-c", "cd /tmp && mv box old && ln -s /etc box"], collect=["passwd"]), Limits())
    box.close()
    assert done.well
    assert done.collected == {}


def test_collects_no_more_than_a_file_may_hold() -> None:
    box = Box(PYTHON)
    done = box.run(Job(["truncate", "-s", "1T", "program"], collect=["program"]), Limits(file_size=1 << 20))
    box.close()
    assert done.cause == "file size"
    assert done.collected == {"program": b""}


@pytest.mark.parametrize("name", ["../x", "/x", "", "a\0b", "x" * 300, "a/" * 3000 + "b", ".", "a/../../b"])
def test_refuses_names_that_lead_out(name: str) -> None:
    sandbox = LocalSandbox(workers=1)
    with pytest.raises(ValueError, match="file name"):
        sandbox.run(Program("python", "", {name: "x"}), [Test()])
    sandbox.close()


@pytest.mark.parametrize(
    ("args", "verdict"), [(["x" * (1 << 22)], "crashed"), (["\0"], "crashed"), (["x"] * 100_000, "passed")]
)
def test_strange_arguments_are_the_programs_affair(args: list[str], verdict: str) -> None:
    sandbox = LocalSandbox(workers=1)
    (outcome,) = sandbox.run(Program("bash", "true", {}, args), [Test()])
    sandbox.close()
    assert outcome.verdict == verdict, outcome


def test_many_files_of_all_sizes_arrive() -> None:
    sandbox = LocalSandbox(workers=1)
    files = {f"d{number % 7}/f{number}": "x" * number for number in range(600)}
    source = "import os\nprint(sum(os.path.getsize(f'd{n % 7}/f{n}') for n in range(600)))"
    (outcome,) = sandbox.run(Program("python", source, files), [Test("", str(sum(range(600))))])
    sandbox.close()
    assert outcome.passed, outcome


def test_no_cgroup_is_an_error_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.sandbox.cgroup.create", lambda number: None)
    with pytest.raises(SandboxError, match="tree=auto"):
        Box(PYTHON, tree="cgroup")
