"""check_manifest: every mistake of a directory as it lies there."""

from pathlib import Path

import pytest

from engine.artifacts.check import check_deploy_toml
from engine.artifacts.errors import UnknownSource
from engine.artifacts.version import read_version
from tests.engine.artifacts.projects import DEPLOY_TOML, UNIT, commit_all, project, write

ROOT = Path(__file__).resolve().parents[3]


def test_a_good_project_has_no_problems(tmp_path: Path) -> None:
    assert check_deploy_toml(project(tmp_path)) == []


@pytest.mark.parametrize("directory", [ROOT, ROOT / "tests/data/example-bot"], ids=["ours", "example-bot"])
def test_the_projects_of_this_repository_can_be_deployed(directory: Path) -> None:
    assert [str(problem) for problem in check_deploy_toml(directory)] == []


def test_every_mistake_is_told_with_its_place_and_remedy(tmp_path: Path) -> None:
    include = DEPLOY_TOML.replace('["tea"]', '["tea", "milk"]').replace("[environments.test.config]", "").replace(
        '"tea.json" = "config/test.json"',
        'config = {"tea.json" = "config/gone.json", "b.json" = "config/b.json"}\n[environments.production]\n'
        "roles.bot.port = 1",
    )  # fmt: skip
    include = include.replace(
        "[environments.test.roles.bot]\nport = 8001", "[environments.test]\nroles.bot.port = 8001"
    )
    project(tmp_path, {"deploy.toml": include, "VERSION": None, "requirements.txt": None, "config/b.json": "[]"})
    (tmp_path / "tea.service").unlink()
    (tmp_path / "tea.service").symlink_to("/lib/systemd/system/cron.service")
    problems = check_deploy_toml(tmp_path)
    assert [(problem.key, problem.reason) for problem in problems] == [
        ("include[1]", "missing_file"),
        ("tea.service", "symlink_escapes"),
        ("VERSION", "missing_version"),
        ("roles.bot.lock", "missing_lock"),
        ('environments.test.config."tea.json"', "missing_file"),
        ("config/b.json", "bad_template"),
    ]
    for problem in problems:
        assert problem.wrong
        assert problem.hint.endswith((".", "be."))
        assert str(problem) == f"{problem.key}: {problem.wrong}. {problem.hint}"


def test_no_deploy_toml_says_where_to_begin(tmp_path: Path) -> None:
    (problem,) = check_deploy_toml(tmp_path)
    assert problem.reason == "no_deploy_toml"
    assert "docs/deploy-toml.md" in problem.hint


def test_mistakes_of_deploy_toml_come_before_those_of_the_tree(tmp_path: Path) -> None:
    write(tmp_path, {"deploy.toml": "name = 1"})
    assert {problem.reason for problem in check_deploy_toml(tmp_path)} == {"bad_deploy_toml"}


def test_in_git_uncommitted_files_count_and_ignored_ones_do_not(tmp_path: Path) -> None:
    project(tmp_path, {".gitignore": "VERSION\n", "tea.service": None})
    commit_all(tmp_path)
    assert [problem.key for problem in check_deploy_toml(tmp_path)] == ["VERSION", "roles.bot.units"]
    project(tmp_path, {".gitignore": ""})
    assert check_deploy_toml(tmp_path) == []


def test_a_directory_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match="is not a directory"):
        check_deploy_toml(tmp_path / "gone")


@pytest.mark.parametrize(
    "text", ["1.0", "1.2.3", "1.2.3.4", "2024.11.1", "1.0.0-rc1", "1.0rc1", "1.0.0-rc.1", "1.0\n", "1.4.0+g3f2a91c"]
)
def test_a_version_is_numbers_and_then_letters_and_digits(text: str) -> None:
    assert read_version(text.encode()) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1",
            "v1.0",
            "1.0 ",
            "1.0\n\n",
            "1.0\n2.0",
            "1..0",
            "1.0-",
            "1.0--a",
            "1.0/..",
            "1.0+local",
            "1.0+g3f2a91",
            "1.0+g3f2a91c.1",
            "1.0+gnothexa",
            "1.0$(id)",
        ),
        *("1.0" + "0" * 40, "1.0\0", "\ufeff1.0", "٣.٤"),
    ],
)
def test_anything_else_is_no_version(text: str) -> None:
    assert read_version(text.encode()) is None


@pytest.mark.parametrize(
    ("changed", "key", "words"),
    [
        ({"tea.service": UNIT + "ExecStartPre=+/bin/sh\n"}, "tea.service", "ExecStartPre=+/bin/sh is not allowed"),
        ({"tea.service": UNIT + "RootDirectory=/\n"}, "tea.service", "RootDirectory= is not among"),
        ({"deploy.toml": DEPLOY_TOML.replace('"tea-bot"', '"root"')}, "name", "has that name"),
        ({"deploy.toml": DEPLOY_TOML.replace('"tea-bot"', '"rosey"')}, "name", "has that name"),
        ({"deploy.toml": DEPLOY_TOML.replace("tea.service", "tea@.service")}, "roles.bot.units[0]", "is a template"),
        (
            {"deploy.toml": DEPLOY_TOML.replace("tea.service", "ssh.service"), "ssh.service": UNIT},
            "ssh.service",
            "has the name of a unit of Debian's",
        ),
    ],
)
def test_what_a_server_would_never_install_is_a_mistake(
    tmp_path: Path, changed: dict[str, str | bytes | None], key: str, words: str
) -> None:
    (problem,) = check_deploy_toml(project(tmp_path, changed))
    assert problem.key == key
    assert words in problem.wrong
    assert problem.hint
