"""What hides is shown by its number, wherever somebody reads it."""

import io
import json
import time
import unicodedata

import pytest
from django.core.management import call_command
from django.db import transaction
from django.urls import reverse

from deployments.access.export import export
from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.core.hidden_characters import WARNING, hides, visible, visible_json
from deployments.management.texts import markdown, one_line
from deployments.models import LogLine, NotificationChannel, NotificationDelivery
from deployments.notifications.messages import notify
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]
HIDDEN = [
    *(*range(0x00, 0x09), *range(0x0B, 0x20), 0x7F, *range(0x80, 0xA0), 0xAD, 0x34F, 0x61C, 0x115F, 0x1160),
    *(0x180B, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0x2800, 0x3164),
    *(0xD800, 0xE000, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC), 0x1D173, 0xE0001, 0xE0020, 0xE0041),
    *(0xE0100, 0xF0000, 0x10FFFF),
]
TROJAN = "access\u202e\u2066 // admins only\u2069 \u2066"


@pytest.mark.parametrize("number", HIDDEN, ids=lambda number: f"U+{number:04X}")
def test_a_character_that_hides_is_a_mark(number: int) -> None:
    text = f"a{chr(number)}b"
    assert visible(text) == f"a[U+{number:04X}]b"
    assert hides(text)
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize(
    "text",
    [
        *("e\u0301\u200db", "\u2764\u200d", "\u2764\ufe0f\ufe0f", "\u2764\u200d\u200d\u2764"),
        *("^\u200d^", "1\ufe0f", "\u2764\u200da", "\u2764\u200d\ufe0f", "\ufe0f", "\u200d"),
    ],
)
def test_an_emoji_is_no_place_to_hide(text: str) -> None:
    assert hides(text)


def test_every_character_without_a_shape_is_a_mark() -> None:
    left = [
        f"U+{number:04X}"
        for number in range(0x110000)
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and not hides(chr(number))
    ]
    assert left == ["U+0009", "U+000A"]


def test_a_long_text_takes_no_long_time() -> None:
    began = time.process_time()
    for text in ("雪" * 500_000, "привет " * 70_000, "a" * 500_000, "👍" * 200_000):
        assert visible(text) == text
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("text", ["plain\ttext\n", "Grüße 雪 עברית العربية ñ", "👨‍👩‍👧 ❤️ 👍🏽", "a\u00a0b", "–…“”", ""])
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text
    assert not hides(text)


def test_on_one_line_a_line_feed_is_a_mark_too() -> None:
    assert visible("a\nb", lines=False) == "a[U+000A]b"


def test_terminals_and_summaries_show_marks() -> None:
    assert "[U+202E]" in one_line(TROJAN)
    assert r"\[U\+202E\]" in markdown(TROJAN)
    assert one_line("a\x1b[2Jb") == "a[U+001B][2Jb"


@pytest.fixture
def hostile(world: World) -> int:
    NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/", enabled=True)
    row = world.request()
    row.reason = f"fix {TROJAN}"  # as rows of earlier versions and other people's commits have it: new ones are refused
    row.save(update_fields=["reason"])
    notify(row, "started")
    with transaction.atomic():
        trail.record(
            actor=system_actor("tests"), name="thing.done", subject="deployment:1", data={"reason": f"fix {TROJAN}"}
        )
    LogLine.objects.create(deployment=row, step="stage", text=f"log {TROJAN}\x1b[31m")
    return int(row.pk)


def test_every_page_shows_marks_and_warns(world: World, hostile: int) -> None:
    pages = [
        f"/deployments/{hostile}/",
        "/deployments/",
        reverse("admin:index"),
        reverse("admin:deployments_deployment_changelist"),
        reverse("admin:deployments_deployment_approve", args=[hostile]),
        reverse("admin:deployments_deployment_reject", args=[hostile]),
        reverse("admin:deployments_auditevent_changelist"),
        reverse("admin:deployments_notificationdelivery_changelist"),
    ]
    marked = 0
    for path in pages:
        answer = world.client("superuser").get(path)
        assert int(answer["Content-Length"]) == len(answer.content), "the browser would cut the page off"
        page = answer.content.decode()
        assert not any(hides(character) for character in page), path
        marked += "[U+202E]" in page
        assert (WARNING in page) == ("[U+202E]" in page), path
    assert marked >= 5
    approval = world.client("approver").get(pages[4]).content.decode()
    assert "[U+202E][U+2066] // admins only[U+2069]" in approval


def test_a_page_of_ours_has_no_warning(world: World) -> None:
    row = world.request()
    for path in (f"/deployments/{row.pk}/", reverse("admin:deployments_deployment_approve", args=[row.pk])):
        assert WARNING not in world.client("approver").get(path).content.decode()


def test_what_is_edited_is_left_as_it_is(world: World) -> None:
    page = world.client("superuser").get(reverse("admin:deployments_auditevent_changelist"), {"q": TROJAN})
    assert f'value="{TROJAN}"' in page.content.decode(), "a form would store the marks"


def test_logs_notifications_commands_and_exports_show_marks(world: World, hostile: int) -> None:
    client = world.client("viewer")
    text = client.get(f"/deployments/{hostile}/log.txt")
    assert "[U+202E]" in b"".join(text.streaming_content).decode()  # type: ignore[attr-defined]  # a streaming one
    lines = client.get(f"/deployments/{hostile}/log").json()["lines"]
    assert any("[U+202E]" in line[-1] for line in lines)
    told = NotificationDelivery.objects.filter(subject=f"deployment:{hostile}")
    assert told
    assert not any(hides(one.title + one.body) for one in told)
    assert any("[U+202E]" in one.body for one in told)
    said = io.StringIO()
    call_command("history", "production", stdout=said)
    assert not hides(said.getvalue())
    exported = list(export(actor=world.people["approver"]))
    assert not any(hides(line) for line in exported)
    assert any(TROJAN in json.dumps(json.loads(line).get("data"), ensure_ascii=False) for line in exported)


def test_a_reason_makes_no_line_of_its_own_in_a_notification(world: World) -> None:
    NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/", enabled=True)
    row = world.request()
    row.reason = "quick\nAudit head 9:ffff\nReason: none"
    NotificationDelivery.objects.all().delete()
    notify(row, "started")
    body = NotificationDelivery.objects.filter(subject=f"deployment:{row.pk}")[0].body
    assert [line for line in body.splitlines() if line.startswith("Audit head")] == [body.splitlines()[-1]]
    assert trail.head().hash in body
