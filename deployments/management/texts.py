"""Texts from elsewhere, made safe to print: a reason, a host's output, an error.

What a server's process prints reaches terminals and the logs of workflow runners. Escape sequences would move a
cursor, and a line of its own that begins with `::` would be a command to GitHub's runner.
"""

from html import escape

from deployments.core.hidden_characters import visible

_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()#+!|~"})


def one_line(text: str) -> str:
    """`text` on one line; what would hide in it is a mark."""
    return visible(" ".join(text.splitlines()), lines=False).strip()


def markdown(text: str) -> str:
    """`text` as Markdown that shows it as it is, in one line of a table or list."""
    # a mention would notify people, a bare address would become a link of somebody else's choosing
    shown = escape(one_line(text), quote=False).translate(_MARKDOWN)
    return shown.replace("@", "@\u2060").replace("://", ":\u2060//")
