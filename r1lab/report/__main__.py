"""`python -m r1lab.report FOLDER [FOLDER …]`: write the page of each run or sweep again and print where it lies."""

import sys
from pathlib import Path

from r1lab.errors import ReportError
from r1lab.report.page import write_page
from r1lab.report.records import is_run
from r1lab.report.sweep import write_sweep


def main(arguments: list[str]) -> int:
    """Write the pages of the folders named; 0, or 2 when no folder is named or one cannot be read."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for name in arguments:
        folder = Path(name)
        try:
            print(write_page(folder) if is_run(folder) else write_sweep(folder))
        except ReportError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
