"""The documentation that came with this release, as pages: rendered from docs/, found by words."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

_NAME = re.compile(r"(?:decisions/)?[a-zA-Z0-9-]+")
_INDEX, _DECISIONS = "README", "decisions/"


@dataclass(frozen=True)
class Page:
    """One page: its name in the address, its first heading, and what it says."""

    name: str
    title: str
    text: str

    @property
    def html(self) -> SafeString:
        """The page as HTML. Its source is a file of this release, and as trusted as its code."""
        return _html(self.name, self.text)


@dataclass(frozen=True)
class Hit:
    """A page that holds what was searched for, the best line of it, and how many there are."""

    page: Page
    anchor: str
    line: str
    in_heading: bool
    lines: int = 1

    @property
    def title(self) -> bool:
        """Whether it is the page's own title."""
        return self.line == self.page.title


@dataclass(frozen=True)
class Row:
    """Pages that the index names together, and what they are about."""

    pages: list[Page]
    about: str = ""


@dataclass(frozen=True)
class Group:
    """A table of the index."""

    title: str
    rows: list[Row]


def folder() -> Path:
    """Where the documentation lies."""
    return Path(settings.BASE_DIR) / "docs"


def pages() -> list[Page]:
    """Every page, by its title."""
    found = [page for path in folder().rglob("*.md") if (page := page_named(_name(path)))]
    return sorted(found, key=lambda page: page.title.lower())


def page_named(name: str) -> Page | None:
    """The page of this name, as in its address."""
    path = folder() / f"{name}.md"
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    text = path.read_text()
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return Page(name, title[1] if title else name, text)


def groups() -> list[Group]:
    """The pages by what one wants of them, as the tables of the index have them; the decisions last."""
    found: list[Group] = []
    for line in (folder() / f"{_INDEX}.md").read_text().splitlines():
        if header := re.fullmatch(r"\| ([a-z ]+) \| \|", line):
            found.append(Group(header[1].capitalize(), []))
        elif links := re.findall(r"\]\(([^)]+)\.md\)", line) if line.startswith("|") else []:
            named = [page for name in links if (page := page_named(name))]
            found[-1].rows.append(Row(named, line.rstrip(" |").rpartition(" | ")[2]))
    listed = {page.name for group in found for row in group.rows for page in row.pages}
    rest = sorted((page for page in pages() if page.name not in listed | {_INDEX}), key=lambda page: page.name)
    return [*found, Group("Decisions", [Row([page]) for page in rest if page.name.startswith(_DECISIONS)])]


def search(words: str) -> list[Hit]:
    """Pages with a line that holds all of the words, in any case: titles, then headings, then most lines."""
    wanted = words.lower().split()
    hits = [hit for page in pages() if (hit := _best(page, wanted))] if wanted else []
    return sorted(hits, key=lambda hit: (not hit.title, not hit.in_heading, -hit.lines))


def _best(page: Page, wanted: list[str]) -> Hit | None:
    """The first heading that holds the words, else the first line."""
    hits: list[Hit] = []
    anchor = ""
    for line in page.text.splitlines():
        if heading := re.match(r"#+ (.*)", line):
            anchor = slug(heading[1])
        if named := re.search(r'<a id="([a-z-]+)"', line):
            anchor = named[1]
        if all(word in line.lower() for word in wanted):
            said = re.sub(r"<[^>]+>|[`*|#]", "", line).strip()[:200]
            hits.append(Hit(page, anchor, said, in_heading=heading is not None))
    if not hits:
        return None
    return replace(next((hit for hit in hits if hit.in_heading), hits[0]), lines=len(hits))


def section(page: Page, anchor: str, names: dict[str, str]) -> SafeString | None:
    """What stands below the heading with this anchor; in its code, letters that stand for a name are that name."""
    parts = re.split(r"^(#+ .+)$", page.text, flags=re.MULTILINE)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        if slug(heading.lstrip("# ")) == anchor:
            return _html(page.name, re.sub(r"`[^`]+`", lambda code: _named(code[0], names), text))
    return None


def _named(code: str, names: dict[str, str]) -> str:
    return re.sub(r"(?<![\w-])([A-Z])(?![\w-])", lambda letter: names.get(letter[1], letter[1]), code)


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _name(path: Path) -> str:
    return str(path.relative_to(folder()).with_suffix(""))


@lru_cache(maxsize=64)
def _html(name: str, text: str) -> SafeString:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(tokens[number + 1].content))
        if token.type == "table_open":
            token.attrSet("tabindex", "0")  # it scrolls in itself, also by keyboard, as code does
        for child in token.children or []:
            _lead(child, name)
    html: str = parser.renderer.render(tokens, parser.options, {})
    return mark_safe(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S308  (a file of this release)


def _lead(token: Token, name: str) -> None:
    """Have links between files lead from page to page."""
    for attribute in ("href", "src"):
        address = token.attrGet(attribute)
        if not isinstance(address, str) or re.match(r"[a-z]+:|#|/", address):
            continue
        path, _, anchor = address.partition("#")
        there = (folder() / name).parent / path
        try:
            inside = there.resolve().relative_to(folder().resolve())
        except ValueError:
            token.attrSet(attribute, "/docs/")  # a file of the repository that is no page
            continue
        inside = inside / "README.md" if there.is_dir() else inside
        page = f"{inside.with_suffix('')}/" if inside.suffix == ".md" else str(inside)
        token.attrSet(attribute, f"/docs/{page}" + (f"#{anchor}" if anchor else ""))
