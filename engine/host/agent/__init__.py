"""The agent: carries a plan out on a server, keeps a journal, and reverts by itself.

One file, Python >= 3.9, standard library alone. It lies in /opt/<name>/.deploy/agent-<sha256>.py, is called as
`agent VERB`, reads frames from standard input (see Frames) and answers with JSON lines.

How a run survives everything: a supervisor holds the lock, the deadlines and the line to the portal; a worker, its
child, does the steps. What a step is about to change is in the fsynced journal first, so that `settle`, which reads
journal and disk and nothing else, can finish or undo a run from any point: the supervisor calls it when the worker
fails, dies or overstays; the worker when the supervisor dies; `recover` (next run, boot, portal) when both did.

Errors: Refused        nothing was changed, and why
        StepFailed     a step said no; what was begun is undone
        SupervisorGone the worker is on its own
        Hangup         the portal does not send what it announced
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # said in a sentence rather than as a SyntaxError
    sys.stdout.write(
        '{"kind": "result", "seq": 0, "status": "failed", "reason": "python_too_old", "facts": {}, "sentence": '
        '"This server has Python %d.%d; 3.9 is the least the agent runs on. Install a newer Debian."}\n'
        % sys.version_info[:2]
    )
    sys.exit(1)
