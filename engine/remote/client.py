"""The portal's side of the conversation with the agent."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.commands.agent import MISSING, agent_command, install_command, source
from engine.remote import frames
from engine.remote.errors import NotProvisioned
from engine.remote.plan import PROTOCOL, FileEntry, RolePlan, RunPlan, manifest_rows, role_to_wire
from engine.remote.result import Record, Result
from engine.remote.silent_end import silent_end
from engine.ssh.conversation import Conversation
from engine.ssh.errors import LinkLost, RemoteDeadline, RemoteFailed
from engine.ssh.session import Session

SHORT = 60.0
"""Seconds for a verb that waits for nothing."""
LONG = 300.0
"""Seconds for a verb that may have to wait until a run has restored what it began."""
REVERT_MARGIN = 120.0
"""Seconds a run may take beyond its own deadline, because it then reverts."""
_BEAT = 2.0  # seconds between two words to an agent that ends when nobody listens


def ignore(record: Record) -> None:
    """For callers that only want the result."""


class AgentClient:
    """Speaks with the agent of one release tree (/opt/<name>) over an open session.

    Every method raises LinkLost when the line is cut or the agent ended without a result (`last_seq`: the last record
    that had arrived; ask with `recover` and `journal`), RemoteDeadline when the agent exceeds its own deadline by far,
    NotProvisioned when there is no tree, NotRun when the server runs something else than what it is asked for. What the
    agent refuses is a Result with its reason.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self.answered: float | None = None
        """When (time.monotonic) the run that was asked for said its first word."""

    def start(self, verb: str) -> None:
        """Have the agent come up for the verb that is asked next, while the caller still works out what to ask.

        What is never asked ends with the session: the agent hears that nobody sends anything, and has done nothing.
        """
        self._session.begin(agent_command(self._name, verb), what=_what(verb))

    def run(
        self,
        plan: RunPlan,
        artifact: frames.ArtifactReader,
        on_record: Callable[[Record], None],
        clock: float | None = None,
    ) -> Result:
        """Carry a plan out by the portal's time (`clock`); `on_record` gets all but the result as it arrives."""
        wire = {**plan.to_wire(), "clock": time.time() if clock is None else clock}
        by_digest: dict[str, str] = {}
        for entry in plan.manifest:
            by_digest.setdefault(entry.sha256, entry.path)

        def files(digests: Iterable[str]) -> Iterable[bytes]:
            paths = [by_digest[digest] for digest in digests]
            return frames.tar(artifact.tar_size(paths), artifact.tar_of(paths))

        def answer(record: Record, conversation: Conversation) -> None:
            if record["kind"] == "need":
                conversation.send(files(record["files"]))
            elif "seq" in record:
                self.answered = self.answered or time.monotonic()
                on_record(record)

        def payload() -> Iterable[bytes]:
            yield frames.request(wire)
            yield from files(entry.sha256 for entry in plan.missing())

        step = max(plan.deadlines.values(), default=plan.deadline)
        return self._talk("run", payload, answer, plan.deadline + REVERT_MARGIN, still=step + REVERT_MARGIN)

    def revert(
        self,
        deployment: str,
        fence: int,
        on_record: Callable[[Record], None] = ignore,
        *,
        run_fence: int | None = None,
    ) -> Result:
        """Undo a run of this deployment that had succeeded here, because another server failed.

        `run_fence` is the fence of that run, where `fence` is a later one: then nothing that is still on its way to the
        server with the earlier one will begin, and where nothing had begun that is all it does.
        """
        request = {"deployment": deployment, "fence": fence, "run_fence": fence if run_fence is None else run_fence}
        return self._ask("revert", request, on_record, LONG)

    def cancel(self, deployment: str, fence: int, on_record: Callable[[Record], None] = ignore) -> Result:
        """End a running run, have it restore what it began, and prove that nothing of it is left.

        Its facts say how many processes had to be killed (`ended`) and how many are `left` (0).
        """
        return self._ask("cancel", {"deployment": deployment, "fence": fence}, on_record, LONG)

    def recover(self, on_record: Callable[[Record], None] = ignore) -> Result:
        """Settle whatever run was left unfinished; tells the last run's result when there is nothing to settle.

        After a run that a boot reverted, `facts["since_boot"]` says whether what ran before is healthy again.
        """
        return self._ask("recover", {}, on_record, LONG)

    def journal(self, deployment: str, after: int = 0) -> list[Record]:
        """The records of a deployment with seq > after."""
        records: list[Record] = []
        self.read_journal(deployment, records.append, after)
        return records

    def read_journal(self, deployment: str, on_record: Callable[[Record], None], after: int = 0) -> None:
        """The same, one record after the other: a hostile server's are better not kept."""

        def hear(record: Record) -> None:
            on_record(dict(record["record"]))

        self._ask("journal", {"deployment": deployment, "after": after}, hear, SHORT)

    def inspect(
        self, *, roles: Sequence[RolePlan] = (), hash_releases: Sequence[str] = (), nonce: str = ""
    ) -> dict[str, Any]:
        """What is true on the server now; changes nothing and waits for nobody.

        Without `roles`, those of the last run. `hash_releases` has every file of these releases hashed, and
        a `nonce` a proof made of every secret (`secret_proofs`): HMAC-SHA256 of its value under the nonce.
        """
        request = {"roles": [role_to_wire(role) for role in roles], "hash": list(hash_releases), "nonce": nonce}
        return self._ask("inspect", request, ignore, SHORT).facts

    def watch(self, deployment: str, fence: int) -> Result:
        """What became of the units since this run verified them; "none" when the server cannot tell."""
        return self._ask("watch", {"deployment": deployment, "fence": fence}, ignore, SHORT)

    def verify(
        self, release: str, version: str, roles: Sequence[RolePlan], *, require_connected: str = "auto"
    ) -> Result:
        """The verification of a run, files included, on what runs now; changes nothing."""
        request = {
            "release": release,
            "version": version,
            "roles": [role_to_wire(role) for role in roles],
            "require_connected": require_connected,
        }
        return self._ask("verify", request, ignore, LONG)

    def operate(
        self,
        action: str,
        release: str,
        version: str,
        roles: Sequence[RolePlan],
        *,
        units: Sequence[str] = (),
        on_record: Callable[[Record], None] = ignore,
        **more: str,
    ) -> Result:
        """`restart`, `stop`, `start` or `restore` (all) units of the release that runs, and prove it.

        `on_record` gets what the units said, kind "log", where they do not do as they should.
        """
        wire = [role_to_wire(role) for role in roles]
        request = {
            "action": action,
            "release": release,
            "version": version,
            "roles": wire,
            "units": list(units),
            **more,
        }
        return self._ask("operate", request, on_record, LONG)

    def command(
        self,
        release: str,
        roles: Sequence[RolePlan],
        argv: Sequence[str],
        *,
        seconds: float,
        unit: str = "",
        on_record: Callable[[Record], None] = ignore,
    ) -> Result:
        """One command in the live release, as `unit`: exit code `facts["exit"]`, output (kind "log") to `on_record`."""
        wire = [role_to_wire(role) for role in roles]
        request = {"release": release, "roles": wire, "argv": list(argv), "unit": unit, "seconds": seconds}
        return self._listen("command", request, on_record)

    def data(self, roles: Sequence[RolePlan], *, check: str = "") -> Result:
        """The backups of the databases (`facts["backups"]`), or what one holds when it is restored to nowhere."""
        return self._ask("data", {"roles": [role_to_wire(role) for role in roles], "check": check}, ignore, LONG)

    def logs(self, request: Record, on_record: Callable[[Record], None]) -> Result:
        """Lines of units' journal, kind "line", as they come: see `host.agent.logs` for what can be asked.

        Whoever leaves early (an exception of `on_record`, a cut line) leaves nothing running there: the agent ends when
        it hears nothing of us.
        """
        return self._listen("logs", request, on_record)

    def secret(self, name: str, version: int, value: bytes) -> Result:
        """Deliver a secret; the units read it at their next start."""
        return self._ask("secret", {"name": name, "version": version}, ignore, SHORT, frames.value(value))

    def matches(self, manifest: Sequence[FileEntry], release: str) -> Result:
        """Whether the release lies there whole: every file with its hash and mode, and nothing else."""
        return self._ask("matches", {"release": release, "manifest": manifest_rows(manifest)}, ignore, SHORT)

    def _listen(self, verb: str, request: Record, on_record: Callable[[Record], None]) -> Result:
        content = frames.request({"protocol": PROTOCOL, **request})
        deadline = request["seconds"] + SHORT
        return self._talk(verb, lambda: (content,), lambda record, _: on_record(record), deadline, listening=True)

    def _ask(
        self, verb: str, request: Record, on_record: Callable[[Record], None], deadline: float, extra: bytes = b""
    ) -> Result:
        def answer(record: Record, _: Conversation) -> None:
            on_record(record)

        content = frames.request({"protocol": PROTOCOL, **request}) + extra
        return self._talk(verb, lambda: (content,), answer, deadline)

    def _talk(
        self,
        verb: str,
        payload: Callable[[], Iterable[bytes]],
        answer: Callable[[Record, Conversation], None],
        deadline: float,
        still: float | None = None,
        *,
        listening: bool = False,
    ) -> Result:
        """One verb to its result; the agent is brought along when the server does not have it yet.

        `still`: for how many seconds it may say nothing but that it lives, else RemoteDeadline. `listening`: it has to
        hear of us again and again.
        """
        for attempt in range(2):
            if attempt:
                self._install()
            last_seq = 0
            with self._session.converse(agent_command(self._name, verb), what=_what(verb)) as conversation:
                conversation.send(payload())
                try:
                    for record in self._records(conversation, deadline, still or deadline, listening):
                        if record["kind"] == MISSING:
                            break
                        if record["kind"] == "result":
                            return Result.of(record)
                        last_seq = max(last_seq, int(record.get("seq", 0)))
                        answer(record, conversation)
                    else:
                        raise silent_end(self._session, conversation, verb)
                except LinkLost as error:
                    error.last_seq = last_seq
                    raise
        raise RemoteFailed(
            f"{self._session.address.host} does not keep the agent that was put there.",
            remote_exit=0,
            hint="Run provision for this server.",
        )

    def _records(self, conversation: Conversation, deadline: float, still: float, listening: bool) -> Iterable[Record]:
        progress = beat = time.monotonic()
        for record in conversation.records(deadline=deadline):
            if listening and time.monotonic() - beat > _BEAT:
                conversation.send((b".",))
                beat = time.monotonic()
            if record is not None and record["kind"] != "alive":
                yield record
                progress = time.monotonic()
            elif time.monotonic() - progress > still:
                raise RemoteDeadline(
                    f"The agent on {self._session.address.host} said nothing for {still:g} s but that it lives."
                )

    def _install(self) -> None:
        try:
            self._session.run(install_command(self._name), stdin=source("agent"), what="bringing the agent")
        except RemoteFailed as error:
            raise NotProvisioned(
                f"{self._session.address.host} has no /opt/{self._name} that {self._session.address.user} may use"
                + (f" ({error.output})." if error.output else "."),
                hint="Run provision for this server.",
            ) from error


def _what(verb: str) -> str:
    return f"the agent ({verb})"
