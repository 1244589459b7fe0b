"""Logs: for people, for machines, and transcripts that rotate."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from botcore import logs
from botcore.config import Channel, Settings, User
from botcore.logs import CHAT, MEDIA, Logs


def started(folder: Path, environ: dict[str, str] | None = None, **changes: object) -> Logs:
    given = {"channel": Channel(name="rosey"), "user": User(name="RoseyBot"), "data_dir": folder, **changes}
    return Logs(Settings.model_validate(given), environ or {})


def test_plain_lines_name_time_level_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writing = started(tmp_path)
    logging.getLogger("botcore.x").info("hello %s", "you")
    logging.getLogger("botcore.x").debug("not shown")
    writing.close()
    assert capsys.readouterr().out.strip().endswith("INFO botcore.x: hello you")


def test_json_lines_carry_their_extras_and_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writing = started(tmp_path, log_format="json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("botcore.x").exception("it failed", extra={"reason": "why"})
    writing.close()
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["message"], line["reason"]) == ("ERROR", "it failed", "why")
    assert "ValueError: broken" in line["exception"]


@pytest.mark.parametrize(("level", "prefix"), [("error", "<3>"), ("warning", "<4>"), ("info", "<6>")])
def test_the_journal_gets_priorities_on_every_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str, prefix: str
) -> None:
    writing = started(tmp_path, {"JOURNAL_STREAM": "8:1"})
    getattr(logging.getLogger("botcore.x"), level)("first\nsecond")
    writing.close()
    assert all(line.startswith(prefix) for line in capsys.readouterr().out.splitlines())


def test_the_level_can_be_changed_while_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writing = started(tmp_path)
    writing.level("DEBUG")
    logging.getLogger("botcore.x").debug("now shown")
    writing.close()
    assert "now shown" in capsys.readouterr().out


def test_transcripts_go_to_files_that_rotate_and_not_to_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 2000)
    writing = started(tmp_path)
    for number in range(600):
        logging.getLogger(CHAT).info("Alice: line %d", number)
    logging.getLogger(MEDIA).info("a film")
    writing.close()
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["chat.log", *(f"chat.log.{number}" for number in range(1, 6)), "media.log"]
    assert (tmp_path / "logs" / "chat.log").read_text().endswith("Alice: line 599\n")
    assert capsys.readouterr().out == ""


def test_transcripts_can_be_switched_off(tmp_path: Path) -> None:
    writing = started(tmp_path, chat_log=None, media_log=None)
    logging.getLogger(CHAT).info("unwritten")
    writing.close()
    assert not (tmp_path / "logs").exists()


def test_half_characters_do_not_break_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writing = started(tmp_path)
    logging.getLogger(CHAT).info("half \ud83d character")
    logging.getLogger("botcore.x").warning("next line")
    writing.close()
    assert "half" in (tmp_path / "logs" / "chat.log").read_text()
    assert "next line" in capsys.readouterr().out


def test_a_transcript_that_cannot_be_written_is_said_once_and_costs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "chat.log").mkdir()
    writing = started(tmp_path)
    for _ in range(5):
        logging.getLogger(CHAT).info("lost")
    logging.getLogger("botcore.x").warning("still here")
    writing.close()
    captured = capsys.readouterr()
    assert "still here" in captured.out
    assert captured.out.count("cannot be written") == 1
    assert "Traceback" not in captured.err
