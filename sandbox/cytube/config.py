"""What a sandbox server is made of: accounts, channels, media and limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from ssl import SSLContext

from sandbox.cytube.clock import Clock, LoopClock
from sandbox.cytube.limits import Rate
from sandbox.cytube.text import LONGEST

#: Password of every default account. It opens nothing but a sandbox.
SANDBOX_PASSWORD = "sandbox"  # noqa: S105 - published on purpose


#: Recording 34, 17 and 15: connections of one address, chat lines and queued media of one connection.
CONNECTIONS = Rate(burst=5, sustained=0.1)
CHAT = Rate(burst=20, sustained=10)
QUEUE = Rate(burst=10, sustained=2)
#: The same for those below moderator (CyTube's channel/playlist.js).
GUEST_QUEUE = Rate(burst=3, sustained=1)


@dataclass(frozen=True, slots=True)
class Account:
    """A registered user. ``rank`` holds in every registered channel, ``site_rank`` everywhere."""

    name: str
    password: str = field(repr=False)
    rank: float = 1
    site_rank: float = 1


@dataclass(frozen=True, slots=True)
class Media:
    """Something to play; ``seconds`` is 0 for what has no end. ``meta`` is sent along as it is."""

    id: str
    title: str
    seconds: int
    type: str = "yt"
    meta: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Channel:
    """A registered channel. ``playlists`` are those that ``queuePlaylist`` finds, by name."""

    name: str
    password: str = field(default="", repr=False)
    motd: str = ""
    locked: bool = True
    playlists: Mapping[str, tuple[Media, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddressLimits:
    """What one IP address may do. Source: recording 07, 25 and 34.

    ``concurrent`` is the number of connections that are served; the next one is kicked. A guest login is possible once
    in ``guest_seconds``.
    """

    connections: Rate = CONNECTIONS
    concurrent: int = 10
    guest_seconds: float = 60.0


DEFAULT_ACCOUNTS = (
    Account("RoseyBot-Test", SANDBOX_PASSWORD, rank=3),
    Account("RoseyBot", SANDBOX_PASSWORD, rank=3),
    Account("Moderator", SANDBOX_PASSWORD, rank=2),
    Account("Owner", SANDBOX_PASSWORD, rank=5),
    Account("Viewer", SANDBOX_PASSWORD),
)

#: What ``queue`` and ``queuePlaylist demo`` find when the server is started from a shell, in the demo and in a soak.
DEMO_MEDIA = (
    Media("dQw4w9WgXcQ", "Demo one", 8),
    Media("aaaaaaaaaaa", "Demo two", 212),
    Media("bbbbbbbbbbb", "Demo three & <b>html</b>", 3725),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """Everything a :class:`~sandbox.cytube.server.CytubeServer` can be told.

    ``chat_length`` is the ``max-chat-message-length`` of a real one, in UTF-16 units. ``port`` 0 takes any free port
    and keeps it over a restart. ``address_limits`` None lifts them, because tests and
    the demo come from one address. ``lost_join_window`` is how long, in seconds, a joinChannel gets no answer after its
    channel was emptied (a real server is busy saving it: up to 14 ms were seen). ``login_cost`` is the cost of bcrypt:
    10 as on the real server, 4 for tests that have no use for the delay. ``media`` is what ``queue`` finds for types
    that need a service on the internet. ``control_networks`` may use the control endpoint. ``tls`` makes it an https
    server, as the real one is.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: SSLContext | None = None
    channels: tuple[Channel, ...] = (Channel("test-rosey"),)
    accounts: tuple[Account, ...] = DEFAULT_ACCOUNTS
    media: tuple[Media, ...] = ()
    address_limits: AddressLimits | None = None
    chat_rate: Rate = CHAT
    chat_length: int = LONGEST
    queue_rate: Rate = QUEUE
    guest_queue_rate: Rate = GUEST_QUEUE
    lost_join_window: float = 0.0
    login_cost: int = 10
    ping_interval: float = 25.0
    ping_timeout: float = 120.0
    usercount_interval: float = 10.0
    control_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    clock: Clock = field(default_factory=LoopClock)
    random: Random = field(default_factory=Random)
