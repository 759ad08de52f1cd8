"""What is released: an archive of the sources, and the wheel that `pip install r1lab` unpacks where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import r1lab

REPOSITORY = Path(__file__).parents[1]
TRAVELS = {  # folder of the checkout → its place in the wheel
    "r1lab": "r1lab",
    "conf": "r1lab/conf",
    "experiments": "r1lab/experiments",
    "hydra_plugins": "hydra_plugins",
}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The archive and the wheel, which is built from what the archive holds."""
    folder = tmp_path_factory.mktemp("release")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (archive,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return archive, wheel


def test_the_wheel_holds_every_file_that_a_run_reads(released: tuple[Path, Path]) -> None:
    held = set(zipfile.ZipFile(released[1]).namelist())
    wanted = {
        f"{place}/{file.relative_to(REPOSITORY / folder).as_posix()}"
        for folder, place in TRAVELS.items()
        for file in (REPOSITORY / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    some = {"hydra_plugins/r1lab_slurm.py", "hydra_plugins/r1lab_random.py", "r1lab/conf/config.yaml", "r1lab/py.typed"}
    assert some < wanted
    assert wanted - held == set()


def test_the_archive_holds_what_the_docs_and_the_tests_need_and_nothing_that_was_built(
    released: tuple[Path, Path],
) -> None:
    with tarfile.open(released[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "Makefile", "mkdocs.yml", "conf/config.yaml"}
    assert {*wanted, "docs/site/hooks.py", "tests/conftest.py", "pyproject.toml"} <= held
    assert [name for name in held if name.startswith(("outputs", "build", ".venv")) or name.endswith(".pyc")] == []


def test_it_works_from_an_empty_folder(released: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed beside the libraries that are there already, with the checkout out of sight."""
    place, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(place)]
    subprocess.run([*pip, str(released[1])], check=True, timeout=120, capture_output=True)
    env = {**os.environ, "PYTHONPATH": str(place), "COLUMNS": "200", "R1LAB_CACHE": str(tmp_path / "cache")}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(place / "bin/r1lab"), *words]
        return subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert call("--version").stdout == f"r1lab {r1lab.__version__}\n"
    assert f"\n## {r1lab.__version__}\n" in (REPOSITORY / "CHANGELOG.md").read_text()
    where = "import r1lab, r1lab.config.experiments as e; print(r1lab.__file__, e.CONF)"
    told = subprocess.run([sys.executable, "-c", where], cwd=empty, env=env, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(place / "r1lab/__init__.py"), str(place / "r1lab/conf")]
    planned = call("-m", "hydra/sweeper=random", "hydra.sweeper.trials=2", "seed=range(9)", "experiment=coin-flip",
                   "dry_run=true")  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert "nothing speaks against these 2 runs" in planned.stdout
    assert call("task=grop").returncode == 2
    assert list(empty.iterdir()) == []
    (empty / "my_conf/reward").mkdir(parents=True)
    (empty / "my_conf/reward/brevity.yaml").write_text("brevity:\n  _target_: my_pkg.rewards.brevity\n  target: 30\n")
    (empty / "my_pkg").mkdir()
    (empty / "my_pkg/rewards.py").write_text(
        "def brevity(completions, *, target=40):\n    return [1.0] * len(completions)\n"
    )
    own = call("--config-dir", "my_conf", "plugins=[my_pkg]", "reward=[accuracy,brevity]", "dry_run=true")
    assert own.returncode == 0, own.stderr
    assert "brevity" in own.stdout
