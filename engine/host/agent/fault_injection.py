"""Faults on demand: a program of the tester's, run before or after a step."""

from __future__ import annotations

import os

from .errors import StepFailed
from .processes import Tools
from .recorder import Recorder
from .tree import Tree


def inject_fault(tree: Tree, tools: Tools, moment: str, recorder: Recorder) -> None:
    """Run .deploy/rehearsal/<step> (before it) or <step>-end (after its work), if somebody put a program there.

    It makes every fault reproducible: a program that fails, hangs, or waits while the power is cut.
    """
    program = os.path.join(tree.rehearsal, moment)
    if os.access(program, os.X_OK):
        code = tools.logged([program], tree.root, lambda line: recorder.log(moment, line, "rehearsal"))
        if code != 0:
            raise StepFailed("rehearsed", "The rehearsal of %s ended with %d." % (moment, code))
