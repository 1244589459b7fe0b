"""Caddy in front of a portal: TLS, bounds, and the pages of Prometheus and Alertmanager, to look at and no more.

These pages have an origin of their own, the port `WATCHERS_PORT`: their scripts, which are other people's, reach
nothing of the portal's. What may be asked is a list of paths and two methods; the portal has the same (`readable`).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

WATCHERS_PORT = 8443
METHODS = ("GET", "HEAD")
_QUERIES = ("query", "query_range", "query_exemplars", "series", "labels", "label/*", "metadata", "targets", "rules")


@dataclass(frozen=True)
class Watcher:
    """A program whose pages people see: its port on this machine, and the paths there that may be asked."""

    port: int
    paths: tuple[str, ...]


WATCHERS: Mapping[str, Watcher] = {
    "prometheus": Watcher(
        9090,
        (
            *("/", "/graph", "/alerts", "/rules", "/targets", "/status", "/flags", "/config", "/service-discovery"),
            *("/query", "/tsdb-status", "/classic/*", "/static/*", "/assets/*", "/favicon.ico", "/favicon.svg"),
            *("/manifest.json", "/version", "/api/v1/alerts", "/api/v1/alertmanagers", "/api/v1/format_query"),
            *("/api/v1/scrape_pools", "/api/v1/status/*", "/api/v1/targets/metadata"),
            *(f"/api/v1/{name}" for name in _QUERIES),
        ),
    ),
    "alertmanager": Watcher(
        9093,
        (
            *("/", "/script.js", "/favicon.ico", "/lib/*", "/assets/*", "/api/v2/alerts", "/api/v2/alerts/groups"),
            *("/api/v2/silences", "/api/v2/silence/*", "/api/v2/status", "/api/v2/receivers"),
        ),
    ),
}
"""Not among them: /-/ (stop, reload), /debug, /metrics, /federate, consoles, and whatever writes."""

_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
READ_ONLY = "Read only: silences are made on the portal's page, /silences/."
_BOUNDS = """\
	servers {
		timeouts {
			read_header 10s
			read_body 20m
			idle 2m
		}
		max_header_size 32KB
	}
"""


def readable(method: str, uri: str) -> bool:
    """Whether a request for a watcher's page may pass; of other addresses only the method is asked."""
    if method not in METHODS:
        return False
    path = unquote(urlsplit(uri).path)
    name, _, rest = path.lstrip("/").partition("/")
    if name not in WATCHERS:
        return True
    if "%" in path or "\\" in path or "//" in path or {"..", "."} & set(path.split("/")):
        return False
    return any(_matches(f"/{rest}", pattern) for pattern in WATCHERS[name].paths)


def portal_url(host: str) -> str:
    """Where people reach a portal on `host`."""
    return f"https://{bare(host)}"


def caddyfile(host: str, *, watched: bool) -> str:
    """Caddy's configuration: TLS and bounds in front of the portal, and its watchers for signed-in staff.

    A public name gets a certificate by ACME; an address, and a name without a dot, one of Caddy's internal CA.
    """
    lines = ["# Written by provision.", "{", "\tadmin off", "\tskip_install_trust", _BOUNDS.rstrip("\n"), "}", ""]
    tls = ["\ttls internal"] if _internal(host) else []
    elsewhere = f"{portal_url(host)}:{WATCHERS_PORT}"
    lines += [
        f"{portal_url(host)} {{",
        *tls,
        "\t@artifacts path /api/v1/releases",
        "\t@others not path /api/v1/releases",
        "\trequest_body @artifacts {",
        "\t\tmax_size 2200MB",
        "\t}",
        "\trequest_body @others {",
        "\t\tmax_size 3MB",
        "\t}",
    ]
    if watched:
        paths = " ".join(f"/{name} /{name}/*" for name in WATCHERS)
        lines += [f"\t@watchers path {paths}", f"\tredir @watchers {elsewhere}{{uri}}"]
    lines += ["\thandle {", "\t\treverse_proxy 127.0.0.1:8080", "\t}", "}", ""]
    if watched:
        lines += [f"{elsewhere} {{", *tls, *_watchers(), "}", ""]
    return "\n".join(lines)


def _watchers() -> list[str]:
    lines = ["\theader {", *(f'\t\t{name} "{value}"' for name, value in _HEADERS.items()), "\t\tdefer", "\t}"]
    lines += [f"\t@writing not method {' '.join(METHODS)}"]
    for name, watcher in WATCHERS.items():
        paths = " ".join(f"/{name}{path}" for path in watcher.paths)
        lines += [f"\t@{name} path {paths}"]
    lines += ["\troute {", f'\t\trespond @writing "{READ_ONLY}" 405']
    for name, watcher in WATCHERS.items():
        lines += [
            f"\t\tredir /{name} /{name}/",
            f"\t\thandle @{name} {{",
            "\t\t\troute {",
            "\t\t\t\tforward_auth 127.0.0.1:8080 {",
            "\t\t\t\t\turi /auth/staff",
            "\t\t\t\t}",
            f"\t\t\t\turi strip_prefix /{name}",
            f"\t\t\t\treverse_proxy 127.0.0.1:{watcher.port} {{",
            "\t\t\t\t\theader_up -Cookie",
            "\t\t\t\t}",
            "\t\t\t}",
            "\t\t}",
        ]
    return [*lines, '\t\trespond "Nothing is shown here." 404', "\t}"]


def bare(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _internal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host or host.endswith((".internal", ".invalid", ".local", ".lan"))
    return True
