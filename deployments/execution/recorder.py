"""Storing what servers say as they say it, without making them wait for the database.

One thread per execution owns the writing: it takes whatever has arrived, masks it, stores it in one transaction, and
renews the lease. The database may be away for a while (`TIMEOUT` seconds); nothing that arrived is lost meanwhile.
"""

import json
import logging
import queue
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, Count, IntegerField, When
from django.db.models.functions import Greatest
from django.utils import timezone

from deployments.core.agent_records import moment
from deployments.core.masking import Mask
from deployments.core.retrying import AWAY
from deployments.execution.steps import MOST_STEPS, StepsOf, rows_of, store
from deployments.lifecycle import Status
from deployments.models import Deployment, LogLine, Step, Target
from engine.host.agent.limits import LINE_LIMIT, LOG_HEAD, LOG_TAIL
from engine.remote.result import Record

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 5.0
TIMEOUT_SECONDS = 60.0
GATHER_SECONDS = 0.1
"""What arrives within this time of a line is stored with it, in one transaction."""
MOST_AT_ONCE = 5000
_STOP = object()
_ENDING = " lines are left out here)"
_LEFT_OUT = re.compile(r"\((\d{1,12}) lines are left out here\)")


Item = tuple[Target | None, str]


class Recorder:
    """Stores records of one execution and keeps its lease alive; `lost` is set when another worker has taken over.

    A record that comes twice (live, and again with the journal) is stored once: its number tells.
    """

    def __init__(self, deployment: Deployment, claim: UUID) -> None:
        self._deployment = deployment
        self._claim = claim
        self.mask = Mask.of(deployment)
        """What takes every secret of the environment out of a text."""
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._last_target = max((target.pk for target in deployment.targets.all()), default=0)
        self._stored: dict[int, int] = {}
        self._steps: dict[int, set[str]] = {}
        self._held: dict[int, StepsOf] = {}
        self._rows: defaultdict[int, list[Step]] = defaultdict(list)
        self._lines: Counter[tuple[int | None, str]] | None = None
        self._verifying = False
        self._flushing: list[threading.Event] = []
        self._stop_by: float | None = None
        self._thread = threading.Thread(target=self._work, name=f"recorder-{deployment.pk}", daemon=True)
        self.lost = threading.Event()
        self.when_verifying: Callable[[], None] = lambda: None
        """Called as soon as a server begins to be verified."""

    def __enter__(self) -> "Recorder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_by = time.monotonic() + TIMEOUT_SECONDS
        self._inbox.put(_STOP)
        self._thread.join(TIMEOUT_SECONDS + 10)

    def record(self, target: Target | None, record: Record) -> None:
        """Take one record of an agent; returns at once. A result closes the steps that did not end."""
        self._inbox.put((target, json.dumps(record)))  # as text: what waits here takes no more than what was sent
        if (record.get("step"), record.get("state")) == ("verify", "begin"):
            self.when_verifying()

    def say(self, text: str, *, target: Target | None = None) -> None:
        """A line of the portal's own."""
        self.record(target, {"kind": "log", "stream": "portal", "text": text, "at": timezone.now().isoformat()})

    def flush(self) -> None:
        """Wait until everything that was recorded so far is stored, so that the end is never shown before the story."""
        done = threading.Event()
        self._inbox.put(done)
        done.wait(TIMEOUT_SECONDS)

    def _work(self) -> None:
        renewed = time.monotonic()
        stopping = False
        try:
            while not stopping:
                batch, stopping = self._take()
                renew = time.monotonic() - renewed >= RENEW_SECONDS
                if batch or renew:
                    self._retry(batch, renew)
                while self._flushing:
                    self._flushing.pop().set()
                if renew:
                    renewed = time.monotonic()
        finally:
            connection.close()

    def _take(self) -> tuple[list[Item], bool]:
        """Whatever has arrived, waiting until it is time to renew the lease; and whether that was all."""
        batch: list[Item] = []
        try:
            item = self._inbox.get(timeout=RENEW_SECONDS)
            until = time.monotonic() + GATHER_SECONDS
            while item is not _STOP:
                if isinstance(item, threading.Event):
                    self._flushing.append(item)
                    until = 0.0  # somebody waits for it
                else:
                    batch.append(item)
                if len(batch) >= MOST_AT_ONCE:
                    return batch, False
                item = self._inbox.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return batch, False
        return batch, True

    def _retry(self, batch: list[Item], renew: bool) -> None:
        """Store a batch; while the database is away, for as long as the execution lasts and a minute beyond."""
        pause = 0.1
        while True:
            try:
                with transaction.atomic():
                    seen = self._store(batch)
                    if renew:
                        self._renew()
            except AWAY:
                self._held, self._lines = {}, None  # what was undone is read again
                if self._stop_by is not None and time.monotonic() > self._stop_by:
                    logger.exception("deployment %s: the database stayed away", self._deployment.pk)
                    return
                time.sleep(pause)
                pause = min(pause * 2, 2.0)
                connection.close()
            except Exception:
                # the lease must be renewed whatever a server has sent; its own journal still has the lines
                logger.exception("deployment %s: lines could not be stored", self._deployment.pk)
                self._held, self._lines = {}, None
                connection.close()
                return
            else:
                self._stored.update(seen)
                return

    def _renew(self) -> None:
        rows = Deployment.objects.executing().filter(pk=self._deployment.pk, claim=self._claim)
        if not rows.update(lease_until=timezone.now() + LEASE):
            self.lost.set()

    def _store(self, batch: list[Item]) -> dict[int, int]:
        """Runs in a transaction that may be repeated; returns the last number stored of every target.

        Whatever the batch holds, of however many servers, lines, new steps and ended steps are a statement each.
        """
        lines: list[LogLine] = []
        seen: dict[int, int] = {}
        touched: set[int] = set()
        for target, text in batch:
            record: Record = json.loads(text)
            if target is not None and (seq := int(record.get("seq", 0))):
                if seq <= seen.get(target.pk, self._last_stored(target)):
                    continue
                seen[target.pk] = seq
            if record["kind"] == "log":
                lines.append(self._line(target, record))
            elif target is not None and record["kind"] == "step" and self._known(target, record):
                self._steps_of(target).take(record, self.mask)
                touched.add(target.pk)
                self._verify(target, record)
            elif target is not None and record["kind"] == "result":
                self._steps_of(target).close()
                touched.add(target.pk)
        LogLine.objects.bulk_create(lines)
        store(self._held[pk] for pk in sorted(touched))
        self._trim(lines)
        if seen:
            newest = Case(*(When(pk=pk, then=seq) for pk, seq in seen.items()), output_field=IntegerField())
            Target.objects.filter(pk__in=seen).update(journal_seq=Greatest("journal_seq", newest))
        return seen

    def _verify(self, target: Target, record: Record) -> None:
        """The last server's verification begins: so does the deployment's."""
        begins = str(record["step"])[:30] == "verify" and str(record["state"]) == "begin"
        if begins and target.pk == self._last_target and not self._verifying:
            self._verifying = True  # were it undone with the transaction, only a word of the page would be late
            Deployment.objects.move(self._deployment.pk, Status.VERIFYING, source=Status.RUNNING, claim=self._claim)

    def _trim(self, lines: list[LogLine]) -> None:
        """Of a step that says very much the beginning and the end are kept; a line between them counts the others."""
        added = Counter((line.target_id, line.step) for line in lines)
        if self._lines is None:  # with those that were stored just now
            rows = LogLine.objects.filter(deployment=self._deployment).order_by().values_list("target_id", "step")
            self._lines = Counter({(pk, step): count for pk, step, count in rows.annotate(Count("pk"))})
        else:
            self._lines.update(added)
        for target, step in added:
            if target is not None and self._lines[target, step] > LOG_HEAD + LOG_TAIL + 1:
                self._cut(target, step)
                self._lines[target, step] = LOG_HEAD + LOG_TAIL + 1

    def _steps_of(self, target: Target) -> StepsOf:
        if not self._held:  # at the beginning, and after a transaction that was undone
            self._rows = rows_of(self._deployment)
        if target.pk not in self._held:
            self._held[target.pk] = StepsOf(target, self._rows[target.pk])
        return self._held[target.pk]

    def _cut(self, target: int, step: str) -> None:
        lines = LogLine.objects.filter(deployment=self._deployment, target=target, step=step).order_by("id")
        note = lines[LOG_HEAD]
        last = lines.order_by("-id").values_list("id", flat=True)[LOG_TAIL - 1]
        between = lines.filter(id__gte=note.pk, id__lt=last)
        counted = [
            _LEFT_OUT.fullmatch(text) for text in between.filter(text__endswith=_ENDING).values_list("text", flat=True)
        ]
        count = between.count() + sum(int(known[1]) - 1 for known in counted if known)  # the agent leaves out, too
        between.exclude(pk=note.pk).delete()
        lines.filter(pk=note.pk).update(stream="portal", text=f"({count} lines are left out here)")

    def _last_stored(self, target: Target) -> int:
        if target.pk not in self._stored:
            rows = Target.objects.filter(deployment=self._deployment).values_list("pk", "journal_seq")
            self._stored |= {pk: max(seq, self._stored.get(pk, 0)) for pk, seq in rows}
        return self._stored[target.pk]

    def _known(self, target: Target | None, record: Record) -> bool:
        """Whether the step is one of those that are kept of this target: the first that were heard of."""
        if target is None:
            return True
        known = self._steps.setdefault(target.pk, set())
        if len(known) < MOST_STEPS:
            known.add(str(record.get("step", ""))[:30])
        return str(record.get("step", ""))[:30] in known

    def _line(self, target: Target | None, record: Record) -> LogLine:
        return LogLine(
            deployment=self._deployment,
            target=target,
            at=moment(record),
            step=str(record.get("step", ""))[:30] if self._known(target, record) else "",
            stream=str(record.get("stream", "stdout"))[:10],
            text=self.mask(str(record.get("text", ""))[: 2 * LINE_LIMIT])[:LINE_LIMIT],
        )
