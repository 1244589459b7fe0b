"""The plans stand alone."""

import pkgutil
import subprocess
import sys

from engine import artifacts


def test_plans_import_neither_django_nor_paramiko() -> None:
    names = [f"engine.artifacts.{module.name}" for module in pkgutil.iter_modules(artifacts.__path__)]
    unwanted = "{'django', 'paramiko', 'deployments.models'}"
    code = f"import sys, {', '.join(names)}\nprint(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
