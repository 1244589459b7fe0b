"""What a provisioning says on the command line: what changed, in few lines, and nothing of what was so already."""

from deployments.management.provisioned import Brief
from engine.remote.reports import Report


def told(*reports: tuple[str, str, str]) -> list[str]:
    """What is said of operations with these sentences."""
    lines: list[str] = []
    brief = Brief(lines.append)
    for operation, state, sentence in reports:
        lines_of_it = ["+a line of a unit"] * 9
        brief(Report(operation, sentence, state, sentence, difference=lines_of_it))  # type: ignore[arg-type]  # texts
    brief.close()
    return lines


def test_few_changes_are_told_one_by_one_without_the_lines_of_their_units() -> None:
    said = told(
        ("user", "changed", "rosey is made."), ("file", "ok", "as it was"), ("file", "changed", "A unit is written.")
    )
    assert said == ["  rosey is made.", "  A unit is written."]


def test_a_long_run_of_one_kind_is_its_first_and_a_number() -> None:
    many = [("directory", "changed", f"/opt/{number} is made.") for number in range(10)]
    assert told(*many, ("firewall", "changed", "Open to everybody: 22.")) == [
        "  /opt/0 is made.",
        "    and 9 more directories",
        "  Open to everybody: 22.",
    ]


def test_what_was_so_already_does_not_end_a_run() -> None:
    mixed = [("directory", "ok" if number % 2 else "changed", f"/opt/{number}") for number in range(10)]
    assert told(*mixed) == ["  /opt/0", "    and 4 more directories"]


def test_what_failed_is_told() -> None:
    assert told(("package", "failed", "sudo cannot be installed.")) == ["  sudo cannot be installed."]
