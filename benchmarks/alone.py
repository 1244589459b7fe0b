"""One measurement, alone in this process: what another one made of Django, or left behind, is not its.

    python -m benchmarks.alone benchmarks.rollback [OPTIONS]

What breaks off says so in the last line it prints, and ends with 1.
"""

import importlib
import sys
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Measure with the module that the first word names; its exit code."""
    module, *options = argv
    try:
        code: int = importlib.import_module(module).main(options)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):  # argparse has said all there is to say
            return end.code or 0
        print(f"It broke off: {end}")
    except Exception as error:  # noqa: BLE001  (its measurements of minutes are worth what they said by then)
        print(f"It broke off: {type(error).__name__}: {error}")
    else:
        return code
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
