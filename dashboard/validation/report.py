"""The report of a validation: Markdown with tables, and the same as HTML with charts as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from dashboard.charts.bars import percent
from dashboard.readiness.rows import Verdict
from dashboard.validation.figures import Figures
from dashboard.validation.judging import Limit
from deployments.core.texts import spoken

_SIGNS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.UNMEASURED: "?"}
_STYLE = (
    "body{font:16px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "td,th{text-align:left;padding:.2rem .8rem}"
)
Table = list[list[str]]


@dataclass(frozen=True)
class Report:
    """What a report tells."""

    title: str
    sentence: str
    begun: datetime
    ended: datetime
    window: float
    limits: Sequence[Limit]
    bots: dict[str, Figures]
    happened: Sequence[str]

    def tables(self) -> list[tuple[str, Table]]:
        """Every table with its heading; the first row of each is its head."""
        limits = [["", "limit", "what was measured"]]
        limits += [[_SIGNS[one.verdict], one.title, f"{one.verdict}: {one.sentence}"] for one in self.limits]
        found = [("Limits", limits)]
        for name, bot in self.bots.items():
            found.append((name, [["figure", "value"], *_figures(bot, self.window)]))
            found += [
                (f"{name}: {what}", [["kind", "number"], *[[k, str(v)] for k, v in counted.most_common() if v]])
                for what, counted in (("events", bot.events), ("chat commands", bot.commands))
            ]
        found.append(("Deployments, rollbacks and alerts meanwhile", [["what"], *[[line] for line in self.happened]]))
        return found


def markdown(report: Report) -> str:
    """The report as Markdown, which its digest is of."""
    lines = [f"# {report.title}", "", report.sentence, "", _when(report), ""]
    for heading, (head, *rows) in report.tables():
        lines += [f"## {heading}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def html(report: Report) -> str:
    """The report as a page of its own, with nothing to be fetched."""
    parts = [f"<h1>{escape(report.title)}</h1><p>{escape(report.sentence)}</p><p>{escape(_when(report))}</p>"]
    for heading, (head, *rows) in report.tables():
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<h2>{escape(heading)}</h2>")
        if heading in report.bots:
            parts += [
                _chart(report, heading, name, unit) for name, unit in (("rss", 1e6), ("connected", 1), ("lag", 1))
            ]
        parts.append(f"<table><tr>{cells}</tr>{body}</table>")
    about = f'<meta charset="utf-8"><title>{escape(report.title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{about}{"".join(parts)}'


def _when(report: Report) -> str:
    form = "%Y-%m-%d %H:%M:%S UTC"
    span = f"From {report.begun.strftime(form)} to {report.ended.strftime(form)}; asked for {spoken(report.window)}."
    heard = [
        f" {name} was observed from {bot.first:%H:%M:%S} to {bot.last:%H:%M:%S}."
        for name, bot in report.bots.items()
        if bot.first and bot.last
    ]
    return span + "".join(heard)


def _figures(bot: Figures, window: float) -> Table:
    share = percent(min(1.0, bot.connected / bot.observed)) if bot.observed else "–"
    times = {
        "observed": spoken(bot.observed) + f" of {spoken(window)}",
        "up": spoken(bot.up),
        "in its room": f"{spoken(bot.connected)} for certain, {share} of what was observed",
        "longest connection": spoken(bot.longest),
    }
    counts = {"reconnects": bot.counts["reconnects"], "restarts": bot.restarts, "requests": bot.counts["requests"]}
    within = {f"response, {int(s * 100)} of 100": bot.response_within(s) for s in (0.5, 0.95, 0.99)}
    within |= {f"loop lag, {int(s * 100)} of 100": bot.lag_within(s) for s in (0.5, 0.99)}
    said = {name: "–" if value is None else f"{value:g} s" for name, value in within.items()}
    return [[name, str(value)] for name, value in {**times, **counts, **said}.items()]


def _chart(report: Report, server: str, name: str, unit: float) -> str:
    span = max(1.0, (report.ended - report.begun).total_seconds())
    points = [
        ((at - report.begun).total_seconds() / span, float(values[name]) / unit)
        for at, values in report.bots[server].points
        if name in values
    ]
    top = max((y for _, y in points), default=0.0) or 1.0
    path = " ".join(f"{x * 880 + 10:.1f},{90 - y / top * 80:.1f}" for x, y in points)
    line = f'<polyline fill="none" stroke="#2563eb" stroke-width="1.5" points="{path}"/>'
    label = escape(f"{name} of {server}, at most {top:g}")
    drawing = f'<svg viewBox="0 0 900 100" role="img" aria-label="{label}">{line}</svg>'
    return f"<figure>{drawing}<figcaption>{label}</figcaption></figure>"
