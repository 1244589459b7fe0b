"""A document in TOML costs little time whatever it says, and every one that people write is read."""

import time
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from engine.artifacts.deploy_toml import examine
from engine.artifacts.toml_input import MOST_PARTS, read_toml

ROOT = Path(__file__).resolve().parents[3]
LONG = ".".join("a" for _ in range(20_000))
SHORT = ".".join("a" for _ in range(MOST_PARTS))
QUOTED = ".".join('"a.b"' for _ in range(20_000))


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"[{LONG}]",
        f"[[{LONG.replace('.', ' . ')}]]",
        f"x = {{{LONG} = 1}}",
        f"{QUOTED} = 1",
        QUOTED.replace('"', "'") + " = 1",
        f'x = [ """a"""", {{{LONG} = 1, "k" = 2}} ]',
        f"x = [ '''a'''', {{{LONG} = 1, 'k' = 2}} ]",
        f'x = """"""\n{LONG} = 1',
        f"x = 1 # it's\n{LONG} = 1",
        f'x = "\\\\"\n{LONG} = 1',
    ],
)
def test_a_key_of_thousands_of_parts_is_refused_at_once_by_its_line(text: str) -> None:
    began = time.process_time()
    with pytest.raises(
        ValueError, match=f"a key has more than {MOST_PARTS} parts \\(at line {text.count(chr(10)) + 1}"
    ):
        read_toml(text)
    assert time.process_time() - began < 2
    problem = examine(text.encode())[1][0]
    assert "parts" in str(problem)


@pytest.mark.parametrize(
    "text",
    [
        f"{SHORT} = 1",
        f'x = "{LONG}"',
        f"x = '{LONG}'",
        f'x = """\n{LONG}\n"""',
        f"x = '''{LONG}'''",
        f"# {LONG}",
        "x = [" + ", ".join("0.5" for _ in range(20_000)) + "]",
        "x = [" + ", ".join('"a.b.c"' for _ in range(20_000)) + "]",
    ],
)
def test_dots_that_divide_no_key_are_read(text: str) -> None:
    assert read_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("path", [path.relative_to(ROOT) for path in ROOT.glob("*.toml")], ids=str)
def test_documents_are_read_as_the_parser_reads_them(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert read_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("piece", ['"""', "'''", '"', "a", "a.", "a .", "#", "\\", '"\\', "a b ", '\\"""'])
def test_whatever_it_is_made_of_it_costs_little(piece: str) -> None:
    began = time.process_time()
    with suppress(ValueError):
        read_toml(piece * (400_000 // len(piece)))
    assert time.process_time() - began < 5
