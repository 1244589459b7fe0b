"""A deployment as Markdown, for the summary of a workflow's job. Standard library alone: the API client uses it too."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.core.texts import spoken
from deployments.management.texts import markdown

_SIGNS = {
    0: "✅ Succeeded",
    1: "❌ Failed",
    3: "⏳ Awaiting approval",
    4: "🚫 Rejected, expired or superseded",
    5: "↩️ Failed and rolled back",
    6: "⏹️ Cancelled",
    7: "⚠️ Interrupted: needs a person",
    8: "⏸️ Environment busy",
}


def append_summary(text: str, environ: Mapping[str, str] = os.environ) -> None:
    """Add `text` to the job's summary; does nothing outside a workflow."""
    if path := environ.get("GITHUB_STEP_SUMMARY", ""):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def deployment_summary(document: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """The summary of one deployment (see `describing.describe`); `links` are texts with their addresses."""
    code = document.get("exit_code")
    lines = [
        f"### {markdown(document['release'])} → {markdown(document['environment'])}: "
        f"{_SIGNS.get(-1 if code is None else code, markdown(document['status']))}",
        "",
        *([markdown(document["sentence"]), ""] if document["sentence"] else []),
        f"- requested by {markdown(document['requested_by'])}"
        + (f", approved by {', '.join(map(markdown, document['approved_by']))}" if document["approved_by"] else ""),
        *([f"- reason: {markdown(document['reason'])}"] if document["reason"] else []),
        *([f"- took {spoken(document['seconds'])}"] if document["seconds"] is not None else []),
        f"- seal `{document['seal'][:16]}`",
        *(f"- [{markdown(text)}]({address})" for text, address in links.items()),
        "",
        *_table(document["targets"]),
    ]
    return "\n".join(lines) + "\n"


def plan_summary(servers: list[Mapping[str, Any]], steps: list[str]) -> str:
    """What was going to happen on each server."""
    lines = [
        f"- {markdown(server['server'])}: from {markdown(server['from'] or 'nothing')}; {server['added']} files "
        f"new, {server['changed']} changed, {server['removed']} gone; {server['bytes'] / 1e6:.1f} MB to send"
        for server in servers
    ]
    lines = ["#### Plan", "", *lines, f"- steps: {markdown(' → '.join(steps))}", "", ""]
    return "\n".join(lines)


def failure_summary(what: str, sentence: str) -> str:
    """A job that ended before there was a deployment."""
    return f"### {markdown(what)}\n\n{markdown(sentence)}\n\n"


def _table(targets: list[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for target in targets for name in target["steps"]))
    if not names:
        return []
    rows = [
        f"| server | before | {' | '.join(map(markdown, names))} | verification |",
        f"|---|---|{'---:|' * len(names)}---|",
    ]
    for target in targets:
        seconds = [target["steps"].get(name) for name in names]
        shown = " | ".join("" if one is None else f"{one:.2f} s" for one in seconds)
        rows.append(
            f"| {markdown(target['server'])} | {markdown(target['from'] or 'nothing')} | {shown} "
            f"| {markdown(target['sentence'])} |"
        )
    return [*rows, ""]
