"""How CyTube turns what people type into HTML.

Source: recording 05, 06 and 16; CyTube's channel/filters.js, channel/chat.js and xss.js.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser

#: Longest chat line in UTF-16 units, unless the server is told otherwise.
LONGEST = 320

_CONTROL = re.compile(r"[\x00-\x1f]+")
_LINK = re.compile(r"(?:https?|ftp)://[^\s<>\"']+")
_PLACE = re.compile("\x02(\\d+)\x03")
_TAG = re.compile(r"<(/?)([a-z]+\d?)[^>]*>")
_GROUP = re.compile(r"\$(\d)")


@dataclass(frozen=True, slots=True)
class ChatFilter:
    """A replacement that the channel applies to every line; ``source`` is a regular expression."""

    name: str
    source: str
    flags: str
    replace: str
    active: bool = True

    def apply(self, text: str) -> str:
        """``text`` after this filter."""
        flags = re.IGNORECASE if "i" in self.flags else 0
        count = 0 if "g" in self.flags else 1
        return re.sub(self.source, _GROUP.sub(r"\\\1", self.replace), text, count=count, flags=flags)

    def as_event(self) -> dict[str, object]:
        """The filter as ``chatFilters`` carries it."""
        return {
            "name": self.name,
            "source": self.source,
            "flags": self.flags,
            "replace": self.replace,
            "active": self.active,
            "filterlinks": False,
        }


FILTERS = (
    ChatFilter("monospace", "`(.+?)`", "g", r"<code>\1</code>"),
    ChatFilter("bold", r"\*(.+?)\*", "g", r"<strong>\1</strong>"),
    ChatFilter("italic", "_(.+?)_", "g", r"<em>\1</em>"),
    ChatFilter("strike", "~~(.+?)~~", "g", r"<s>\1</s>"),
    ChatFilter("inline spoiler", r"\[sp\](.*?)\[\/sp\]", "gi", r'<span class="spoiler">\1</span>'),
)


def cut(text: str, *, longest: int = LONGEST) -> str:
    """At most ``longest`` UTF-16 units, as JavaScript counts: an emoji is two, and may be halved."""
    if len(text) * 2 <= longest:
        return text
    units = text.encode("utf-16-le", "surrogatepass")[: longest * 2]
    return units.decode("utf-16-le", "surrogatepass")


def without_control(text: str) -> str:
    """Control characters, however many together, as one space."""
    return _CONTROL.sub(" ", text)


def escape(text: str) -> str:
    """Markup made harmless. Quotes stay: the recording shows them untouched in chat."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_all(text: str) -> str:
    """Markup and quotes made harmless, as in poll options and queueFail."""
    return escape(text).replace('"', "&quot;").replace("'", "&#39;")


def format_line(text: str, *, filters: Iterable[ChatFilter] = FILTERS, links: bool = True) -> str:
    """A chat line as HTML: escaped, links made clickable, filters applied to all but the links, tags balanced."""
    found: list[str] = []

    def keep(match: re.Match[str]) -> str:
        found.append(match.group())
        return f"\x02{len(found) - 1}\x03"

    if links:
        text = _LINK.sub(keep, text)
    text = escape(text)
    for each in filters:
        if each.active:
            text = each.apply(text)

    def restore(match: re.Match[str]) -> str:
        number = int(match.group(1))
        return _anchor(found[number]) if number < len(found) else match.group()

    return balance(_PLACE.sub(restore, text))


def balance(markup: str) -> str:
    """Every tag closed, in the order in which they were opened, as sanitize-html leaves them: a closing tag closes what
    was opened inside, and one that closes nothing is dropped.
    """
    if "<" not in markup:
        return markup
    opened: list[str] = []

    def settle(match: re.Match[str]) -> str:
        closing, name = match.groups()
        if not closing:
            opened.append(name)
            return match.group()
        if name not in opened:
            return ""
        closed = ""
        while not closed.endswith(f"</{name}>"):
            closed += f"</{opened.pop()}>"
        return closed

    balanced = _TAG.sub(settle, markup)
    return balanced + "".join(f"</{name}>" for name in reversed(opened))


def _anchor(url: str) -> str:
    safe = escape(url)
    return f'<a href="{safe}" target="_blank" rel="noopener noreferrer">{safe}</a>'


class _Cleaner(HTMLParser):
    """Keeps harmless tags, drops the rest, and drops what is inside scripts and styles."""

    inline = frozenset(("a", "b", "br", "code", "em", "i", "img", "s", "small", "span", "strong", "u"))
    blocks = frozenset(("div", "h1", "h2", "h3", "hr", "li", "ol", "p", "ul"))
    allowed = inline | blocks
    attributes = frozenset(("href", "src", "class", "title", "alt"))
    hidden = frozenset(("script", "style"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._hiding = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.hidden:
            self._hiding += 1
        elif tag in self.allowed and not self._hiding:
            kept = "".join(
                f' {name}="{escape_all(value or "")}"'
                for name, value in attrs
                if name in self.attributes and not (value or "").strip().lower().startswith("javascript:")
            )
            self.parts.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.hidden:
            self._hiding = max(0, self._hiding - 1)
        elif tag in self.allowed and not self._hiding:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._hiding:
            self.parts.append(escape(data))

    def handle_entityref(self, name: str) -> None:
        if not self._hiding:
            self.parts.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        if not self._hiding:
            self.parts.append(f"&#{name};")


def clean_html(markup: str) -> str:
    """``markup`` without scripts and unknown tags: how a message of the day is stored."""
    cleaner = _Cleaner()
    cleaner.feed(markup)
    cleaner.close()
    return "".join(cleaner.parts)
