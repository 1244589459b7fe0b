"""How CyTube turns what people type into HTML. Source: recording 05, 06 and 16."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

#: Longest chat line in characters; the rest is cut off before anything else is done with it.
LONGEST = 320

_CONTROL = re.compile(r"[\x00-\x1f]+")
_LINK = re.compile(r"(?:https?|ftp)://[^\s<>\"']+")
_PLACE = re.compile("\x02(\\d+)\x03")


@dataclass(frozen=True, slots=True)
class ChatFilter:
    """A replacement that the channel applies to every line."""

    name: str
    source: str
    flags: str
    replace: str

    def apply(self, text: str) -> str:
        """``text`` after this filter."""
        flags = re.IGNORECASE if "i" in self.flags else 0
        return re.sub(self.source, self.replace, text, flags=flags)

    def as_event(self) -> dict[str, object]:
        """The filter as ``chatFilters`` carries it."""
        return {
            "name": self.name,
            "source": self.source,
            "flags": self.flags,
            "replace": self.replace,
            "active": True,
            "filterlinks": False,
        }


FILTERS = (
    ChatFilter("monospace", "`(.+?)`", "g", r"<code>\1</code>"),
    ChatFilter("bold", r"\*(.+?)\*", "g", r"<strong>\1</strong>"),
    ChatFilter("italic", "_(.+?)_", "g", r"<em>\1</em>"),
    ChatFilter("strike", "~~(.+?)~~", "g", r"<s>\1</s>"),
    ChatFilter("inline spoiler", r"\[sp\](.*?)\[\/sp\]", "gi", r'<span class="spoiler">\1</span>'),
)


def cut(text: str, *, keep_control: bool = False) -> str:
    """At most :data:`LONGEST` characters, control characters as one space unless the channel allows them."""
    text = text[:LONGEST]
    return text if keep_control else _CONTROL.sub(" ", text)


def escape(text: str) -> str:
    """Markup made harmless. Quotes stay: the recording shows them untouched in chat."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_all(text: str) -> str:
    """Markup and quotes made harmless, as in poll options and queueFail."""
    return escape(text).replace('"', "&quot;").replace("'", "&#39;")


def format_line(text: str, *, links: bool = True) -> str:
    """A chat line as HTML: escaped, links made clickable, filters applied to all but the links."""
    found: list[str] = []

    def keep(match: re.Match[str]) -> str:
        found.append(match.group())
        return f"\x02{len(found) - 1}\x03"

    if links:
        text = _LINK.sub(keep, text)
    text = escape(text)
    for each in FILTERS:
        text = each.apply(text)

    def restore(match: re.Match[str]) -> str:
        number = int(match.group(1))
        return _anchor(found[number]) if number < len(found) else match.group()

    return _PLACE.sub(restore, text)


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
