"""What provisioning put on this server, kept by root so that it can be looked at again, and the way to ask for it.

The account that deploys may have root look: one exact command by sudo, which takes no input and changes nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

from .ownership import RECORDS, roots_own
from .paths import Refused

LOOK = "look"


def program_path(name: str) -> str:
    """Where this very program lies for that."""
    return "%s/%s.look.py" % (RECORDS, name)


def list_path(name: str) -> str:
    """Where the operations are kept whose result lasts."""
    return "%s/%s.operations" % (RECORDS, name)


def check_argv(name: str) -> List[str]:
    """The command that sudo allows, word by word."""
    return ["/usr/bin/python3", "-I", "-S", "-B", program_path(name), LOOK, name]


def recorded_operations(name: str) -> List[Dict[str, Any]]:
    """What provisioning did here, as operations. Raises Refused when root has no list of it."""
    content = roots_own(list_path(name)) if re.fullmatch("[a-z][a-z0-9-]{1,30}", name) else None
    if content is None:
        raise Refused("There is no list of what provisioning put here for %s. Run provision once." % name)
    operations: List[Dict[str, Any]] = json.loads(content)
    return operations
