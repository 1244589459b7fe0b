"""From a link to what CyTube calls it: type and id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from botcore.errors import ActionRefused, UsageError


@dataclass(frozen=True, slots=True)
class MediaLink:
    """What `queue` wants to know."""

    type: str
    id: str


_KNOWN = ("yt", "yp", "vi", "dm", "sc", "tw", "tc", "tv", "fi", "hl", "cm", "li")
_SHORT = re.compile(rf"^({'|'.join(_KNOWN)}):(\S+)$")
_YOUTUBE_ID = re.compile(r"^[A-Za-z0-9_-]{11}$")
_FILES = (".mp4", ".webm", ".ogv", ".ogg", ".mp3", ".m4a", ".mov", ".flac", ".opus", ".wav")


def parse(link: str) -> MediaLink:
    """The link as type and id. Raises UsageError when it is none, and ActionRefused when CyTube does not play it."""
    if short := _SHORT.match(link):
        return MediaLink(short.group(1), short.group(2))
    try:
        url = urlsplit(link)
        host = (url.hostname or "").removeprefix("www.").removeprefix("m.")
    except ValueError:
        url, host = urlsplit(""), ""
    if url.scheme not in {"http", "https"} or not host:
        raise UsageError("That is no link I know.", hint="Give an http(s) link, or type:id such as yt:dQw4w9WgXcQ.")
    path = [part for part in url.path.split("/") if part]
    found = _site(host, path, parse_qs(url.query)) or _file(link, url.path.lower(), url.scheme)
    if found is None:
        raise ActionRefused(f"I do not know how to play something from {host}.")
    return found


def _site(host: str, path: list[str], query: dict[str, list[str]]) -> MediaLink | None:
    first = path[0] if path else ""
    if host in {"youtube.com", "music.youtube.com", "youtu.be"}:
        return _youtube(host, path, query)
    if host in {"vimeo.com", "player.vimeo.com"} and path and path[-1].isdigit():
        return MediaLink("vi", path[-1])
    if host == "dailymotion.com" and first == "video" and len(path) > 1:
        return MediaLink("dm", path[1].partition("_")[0])
    if host == "dai.ly" and first:
        return MediaLink("dm", first)
    if host == "soundcloud.com" and len(path) > 1:
        return MediaLink("sc", f"https://soundcloud.com/{'/'.join(path)}")
    if host == "clips.twitch.tv" and first:
        return MediaLink("tc", first)
    if host == "twitch.tv" and first:
        return MediaLink("tv", f"v{path[1]}") if first == "videos" and len(path) > 1 else MediaLink("tw", first)
    return None


def _youtube(host: str, path: list[str], query: dict[str, list[str]]) -> MediaLink | None:
    identifier = query.get("v", [""])[0]
    if host == "youtu.be" and path:
        identifier = path[0]
    elif len(path) > 1 and path[0] in {"shorts", "live", "embed"}:
        identifier = path[1]
    if _YOUTUBE_ID.match(identifier):
        return MediaLink("yt", identifier)
    listed = query.get("list", [""])[0]
    return MediaLink("yp", listed) if listed else None


def _file(link: str, path: str, scheme: str) -> MediaLink | None:
    if scheme != "https":
        return None
    if path.endswith(_FILES):
        return MediaLink("fi", link)
    if path.endswith(".m3u8"):
        return MediaLink("hl", link)
    return MediaLink("cm", link) if path.endswith(".json") else None
