"""Mail that is sent is kept."""

import smtplib
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from sandbox.mail import MailSink, NothingArrived, NotListening


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[MailSink]:
    with MailSink(directory=tmp_path / "mail", now=lambda: 1000.0) as running:
        yield running


def send(sink: MailSink, subject: str, *, text: str = "Hello.\n", html: str = "") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "portal@example.org", "ops@example.org", subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=60) as client:
        client.send_message(message, to_addrs=["ops@example.org", "second@example.org"])


def test_a_message_is_kept_with_all_its_parts(sink: MailSink) -> None:
    send(sink, "Déployé: 日本", text="plain ü\n.\n..dots\n", html="<b>rich</b>")
    mail = sink.wait_for(lambda each: "日本" in each.subject)
    assert (mail.sender, mail.recipients) == ("portal@example.org", ("ops@example.org", "second@example.org"))
    assert mail.text == "plain ü\n.\n..dots\n"
    assert mail.html.strip() == "<b>rich</b>"
    assert mail.arrived == 1000.0
    assert mail.message["To"] == "ops@example.org"


def test_a_message_that_is_hard_to_read_is_kept_all_the_same(sink: MailSink) -> None:
    raw = b"Subject: =?x?q?odd?=\r\nContent-Type: text/plain; charset=nonsense\r\n\r\nr\xe9sum\xe9\r\n"
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=60) as client:
        client.sendmail("", ["b@example.org"], raw)
    assert sink.messages[0].text == "r\ufffdsum\ufffd\n"


def test_messages_are_files_whose_names_say_what_they_are(sink: MailSink, tmp_path: Path) -> None:
    for subject in ("Deployment 7: failed!", "../../etc/passwd", ""):
        send(sink, subject)
    sink.wait_for(lambda each: each.subject == "")
    names = sorted(path.name for path in (tmp_path / "mail").iterdir())
    assert names == ["0001-deployment-7-failed.eml", "0002-etc-passwd.eml", "0003-untitled.eml"]
    assert b"Subject: Deployment 7: failed!" in (tmp_path / "mail" / names[0]).read_bytes()
    assert [mail.file.name for mail in sink.messages if mail.file] == names


def test_files_of_an_earlier_run_are_not_overwritten(tmp_path: Path) -> None:
    for _ in range(2):
        with MailSink(directory=tmp_path) as sink:
            send(sink, "again")
            sink.wait_for(lambda each: True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001-again.eml", "0002-again.eml"]


def test_a_wait_is_woken_by_what_arrives_later(sink: MailSink) -> None:
    later = threading.Timer(0.05, send, args=(sink, "later"))
    later.start()
    begin = time.monotonic()
    assert sink.wait_for(lambda each: each.subject == "later", deadline=30).subject == "later"
    assert time.monotonic() - begin < 15
    later.join()


def test_a_wait_without_success_says_how_much_arrived(sink: MailSink) -> None:
    send(sink, "something else")
    with pytest.raises(NothingArrived, match=r"No matching mail within 0.01 s\. 1 arrived"):
        sink.wait_for(lambda each: each.subject == "wanted", deadline=0.01)


def test_many_senders_at_once(sink: MailSink) -> None:
    senders = [threading.Thread(target=send, args=(sink, f"number {number}")) for number in range(20)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    assert {mail.subject for mail in sink.messages} == {f"number {number}" for number in range(20)}


def test_it_starts_twice_and_stops_twice_and_keeps_what_it_has() -> None:
    sink = MailSink()
    with pytest.raises(NotListening):
        _ = sink.port
    sink.start()
    sink.start()
    send(sink, "kept")
    sink.stop()
    sink.stop()
    assert [mail.subject for mail in sink.messages] == ["kept"]
    with pytest.raises(NotListening):
        _ = sink.port


def test_a_taken_port_is_an_error_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with MailSink() as first, pytest.raises(OSError, match="in use"):
        MailSink(first.port).start()
    assert threading.active_count() == before


def test_a_client_that_stays_connected_does_not_stop_the_sink_from_stopping(sink: MailSink) -> None:
    client = smtplib.SMTP("127.0.0.1", sink.port, timeout=60)
    sink.stop()
    client.close()
