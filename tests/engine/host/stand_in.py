"""Root's program where there is no root: runs what it is asked for as whoever started it, and tells how it ended."""

import json
import os
import subprocess
import sys


def main() -> None:
    """One request, as `provision/one_off` takes it."""
    asked = json.loads(sys.stdin.buffer.readline())
    if not asked["argv"]:
        sys.stderr.write(json.dumps({"result": "success", "code": 0}) + "\n")
        return
    done = subprocess.run(
        ["/usr/bin/env", "--", *asked["argv"]],
        cwd=os.path.join(os.environ["DEPLOYMENT_TREE"], asked["directory"]),  # noqa: PTH118 - both are texts
        input=sys.stdin.buffer.read(asked.get("input", 0)),
        stderr=None if asked.get("apart") else subprocess.STDOUT,
        check=False,
    )
    result = "exit-code" if done.returncode else "success"
    sys.stderr.write(json.dumps({"result": result, "code": done.returncode}) + "\n")


if __name__ == "__main__":
    main()
