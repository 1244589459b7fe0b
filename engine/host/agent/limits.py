"""What the whole agent agrees on: how long it waits, how much it keeps, what a name may be."""

from __future__ import annotations

import re
from typing import Any, Dict, Tuple

PROTOCOL = 1

MOMENTS = ("before_activate", "after_activate", "after_success")  # at which a release may have a command run
PLAN_STEPS = (
    *("preflight", "stage", "dependencies", "backup", "before_activate"),
    *("activate", "after_activate", "restart", "verify", "after_success"),
)  # of a plan, in their order; pruning old releases follows and decides nothing
DECISIVE = (
    "activate",
    "restart",
    "revert",
    "back",
    *MOMENTS,
)  # these change what runs: their beginning is on disk before they begin
NOW, SOON, LATER = 2, 1, 0  # when a record has to be on disk

Record = Dict[str, Any]
Row = Tuple[str, int, str, int]
Shown = Dict[str, Dict[str, str]]  # what systemd shows, by unit

ALIVE_EVERY = 3.0  # s between signs of life when there is nothing to say; the portal gives up after five of them
READ_TIMEOUT = 60.0  # s without a byte from a portal that still owes us some
REVERT_TIMEOUT = 60.0  # s for the old units to be healthy again, unless the plan says otherwise
CANCEL_TIMEOUT = 45.0  # s beyond that for a supervisor that was asked to end, before it is killed
OPERATION_TIMEOUT = 150.0  # s for units to be stopped or restarted and proven, beside a deployment
LISTENER_TIMEOUT = 15.0  # s without a word from a portal that reads a journal
TOOL_TIMEOUT = 15.0  # s for a systemctl, sudo or journalctl call that does not wait for anything
TAKE_TIMEOUT = 90.0  # s for root to take units over: those that are gone have to end
PROBE_TIMEOUT = 2.0  # s for one health answer
WATCH = 10.0  # s that a unit is watched for a crash, unless its role says otherwise
CRASHES_AN_HOUR = 3  # restarts by systemd, beyond which a unit is said not to run
WATCH_PAUSE = 0.25  # s between two looks
GRACE_DISCONNECTED = 3.0  # s a bot gets to connect although it need not
LOCK_TIMEOUT = 1.0  # s to wait for a lock that is just being let go
CLOCK_TOLERANCE = 300.0  # s of difference to the portal's clock
NEED_ROUNDS = 2
BACKLOG = 1 << 20  # bytes kept for a reader that is slow; more goes to the journal only
JOURNAL_LIMIT = 512 * 1024  # bytes after which the journal is rotated at the start of a run
BALLAST = 256 * 1024  # bytes set aside so that a full disk still has room for the journal of the revert
MARGIN = 16 << 20  # bytes that must be left beyond what is needed
MARGIN_INODES = 1000
# An environment, measured with the bot's lock: 23 MB empty, and 33 MB more for 7 MB of wheels, unpacked and compiled.
ENV_BYTES, ENV_FACTOR = 25 << 20, 5
LINE_LIMIT = 4000  # characters of one log line
DATABASE_TIMEOUT = 10.0  # s for the application to let go of its database, and again for counting its rows
TABLES_COUNTED = 500  # per database
OUTPUT_LIMIT = 4 << 20  # bytes kept of a tool's output; the rest is read and dropped
COMMAND_LINES = 20_000  # lines of a command, should they be short
LOG_HEAD, LOG_TAIL = 200, 2000  # lines of output kept per step: the portal keeps as many
LAST_WORDS = 0.5  # s for a worker that must end to hand over the lines it holds
BLOCK = 1 << 20
KEEP_AGENTS = 3
LEFTOVERS = (".staging-", ".trash-", ".rows-", ".check-")

OURS = (".release", ".envs", ".config", ".checked")
SYSTEMCTL = "/usr/bin/systemctl"
SUDO = ("/usr/bin/sudo", "-n")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

RELEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
UNIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,120}\.(?:service|socket|timer|path|target)")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
DIGEST = re.compile(r"[0-9a-f]{64}")
HEALTH_URL = re.compile(r"http://(127\.0\.0\.1|localhost):([0-9]{1,5})(/[!-~]*)?")
