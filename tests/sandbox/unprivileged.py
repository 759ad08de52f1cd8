"""Every attack, as a user without rights; run by test_attacks.py from a copy of the package that such a user may read.

python -m tests.sandbox.unprivileged NAME …     # prints the attacks that were not withstood, as JSON
"""

from __future__ import annotations

import json
import os
import sys

from tests.sandbox.attack_programs import ALL
from tests.sandbox.attacking import Ring, targets


def main() -> None:
    """Try the attacks of these names, all where none is named."""
    assert os.geteuid() != 0
    names = sys.argv[1:]
    faults = {}
    with targets() as aims:
        ring = Ring("auto", aims)
        for attack in ALL:
            if names and attack.name not in names:
                continue
            try:
                ring.withstand(attack)
            except AssertionError as error:
                faults[attack.name] = str(error)
                ring.close()
                ring = Ring("auto", aims)
        ring.close()
    print(json.dumps(faults))


if __name__ == "__main__":
    main()
