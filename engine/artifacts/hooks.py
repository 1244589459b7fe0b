"""[hooks] of deploy.toml: what a deployment runs beside switching to the release."""

from typing import Literal

from pydantic import Field

from engine.artifacts.values import RoleName, Seconds, Table, Text


class Hook(Table):
    """A command of the release's that a deployment runs on each server at one moment."""

    command: tuple[Text, ...] = Field(
        min_length=1,
        description="The command as a list of words, run in the release's directory; it must end with 0. {release}, "
        "{config} and {data} stand for directories on the server.",
    )
    deadline: Seconds = Field(default=60.0, description="Seconds it may take, a number above 0; then it is ended.")
    account: Literal["application", "deploying"] = Field(
        default="application",
        description="Who runs it: 'application', with what the first service of the role is given, or 'deploying'.",
    )
    role: RoleName | None = Field(
        default=None, description="The role whose servers run it and whose packages it has; without it, the first role."
    )


class UndoableHook(Hook):
    """One that may name its way back."""

    back: tuple[Text, ...] = Field(
        default=(),
        description="A command that undoes it, run when the release is taken back in this deployment; it must be "
        "able to run again, and on what is half done.",
    )


class Hooks(Table):
    """What a deployment runs beside switching to the release."""

    before_activate: UndoableHook | None = Field(
        default=None, description="Before anything is switched; a failure ends the deployment there."
    )
    after_activate: UndoableHook | None = Field(
        default=None, description="After the switch, before units are restarted: migrations. A failure takes it back."
    )
    after_success: Hook | None = Field(
        default=None, description="After the release is verified; a failure is said, and the release stays."
    )
