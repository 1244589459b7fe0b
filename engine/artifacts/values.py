"""What single values of deploy.toml may be."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from engine.artifacts.paths import why_unsafe
from engine.host.provision.debian import takes_name

RoleName = Literal["bot", "portal", "monitoring"]
ROLES: tuple[str, ...] = get_args(RoleName)


def _inside(path: str) -> str:
    unsafe = why_unsafe(path)
    if unsafe:
        raise PydanticCustomError("path_escapes", "{path} {unsafe}", {"path": repr(path), "unsafe": unsafe})
    return path


def _one_of_a_kind(path: object) -> object:
    if isinstance(path, str) and "@" in path.rpartition("/")[2]:
        message = "it is a template or an instance of one; write one unit file per instance, without @"
        raise PydanticCustomError("template_unit", message)
    return path


def _not_taken(name: str) -> str:
    if takes_name(name):
        message = "an account, a directory or a firewall table of Debian's or of a well-known package has that name"
        raise PydanticCustomError("name_taken", message)
    return name


_NO_ESCAPE: dict[str, object] = {"not": {"pattern": r"^/|(^|/)\.{0,2}(/|$)"}}

Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
TreePath = Annotated[str, AfterValidator(_inside), Field(min_length=1, json_schema_extra=_NO_ESCAPE)]
UnitPath = Annotated[
    TreePath,
    StringConstraints(pattern=r"^(.*/)?[A-Za-z0-9][A-Za-z0-9_.-]*\.(service|socket|timer|path|target)$"),
    BeforeValidator(_one_of_a_kind),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}$"), AfterValidator(_not_taken)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
ConfigName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
DottedKey = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=3600)]
WatchSeconds = Annotated[float, Field(strict=True, ge=1, le=600)]


class Table(BaseModel):
    """A table of the file: no key that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=False)
