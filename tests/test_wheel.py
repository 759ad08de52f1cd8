"""What travels in the wheel, which `pip install r1lab` unpacks where no checkout is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
TRAVELS = {  # folder of the checkout → its place in the wheel
    "r1lab": "r1lab",
    "conf": "r1lab/conf",
    "experiments": "r1lab/experiments",
    "hydra_plugins": "hydra_plugins",
}


def test_the_wheel_holds_every_file_that_a_run_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(REPOSITORY)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"{place}/{file.relative_to(REPOSITORY / folder).as_posix()}"
        for folder, place in TRAVELS.items()
        for file in (REPOSITORY / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert {"hydra_plugins/r1lab_slurm.py", "r1lab/conf/config.yaml", "r1lab/main.py"} < wanted
    assert wanted - held == set()
