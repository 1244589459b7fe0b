"""`make bench`: every measurement, one after the other; 1 when a promise was not kept."""

import importlib
import sys

MEASUREMENTS = ("agent_start", "redeploy", "rollback", "bot_day", "health_proxy", "dashboard")


def main(argv: list[str]) -> int:
    """Run the named measurements, or all."""
    codes = []
    for name in argv or MEASUREMENTS:
        print(f"\n== {name}", flush=True)
        codes.append(importlib.import_module(f"benchmarks.{name}").main([]))
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
