"""What arrives is checked before any of it becomes part of a path or an argument."""

from __future__ import annotations

import hashlib
from typing import Any, Dict

from .errors import Refused
from .files import canonical
from .limits import DIGEST, HEALTH_URL, MOMENTS, OURS, PLAIN_NAME, RELEASE_NAME, UNIT_NAME, Record
from .tree import Tree


def need(condition: Any, what: str) -> None:
    """Refuse the plan unless this holds."""
    if not condition:
        raise Refused("bad_request", "The plan is refused: %s." % what)


def safe_path(path: Any) -> bool:
    """Whether it stays inside the release and is none of our own names."""
    return (
        isinstance(path, str)
        and bool(path)
        and "\0" not in path
        and not path.startswith("/")
        and all(part not in ("", ".", "..") for part in path.split("/"))
        and path.split("/")[0] not in OURS
    )


def check_roles(roles: Any) -> None:
    """Refuse roles with a name, path, digest or URL that is more than that."""
    need(isinstance(roles, list), "roles are missing")
    for role in roles:
        need(PLAIN_NAME.fullmatch(str(role.get("role"))), "a role has no proper name")
        for unit in role["units"]:
            need(UNIT_NAME.fullmatch(unit), "%r is no name of a unit" % unit)
        for digest in role["unit_files"].values():
            need(DIGEST.fullmatch(digest), "a unit file has no proper sha256")
        need(all(UNIT_NAME.fullmatch(unit) for unit in role["unit_files"]), "a unit file has no proper name")
        need(role["lock"] is None or safe_path(role["lock"]), "the path of a lock leads elsewhere")
        need((role["lock"] is None) == (role["env_digest"] is None), "lock and environment belong together")
        need(role["env_digest"] is None or DIGEST.fullmatch(role["env_digest"]), "an environment has no proper digest")
        need(all(isinstance(word, str) and "\0" not in word for word in role["check"]), "a check is no argument list")
        need(all(PLAIN_NAME.fullmatch(name) for name in role["secrets"]), "a secret has no proper name")
        need(all(safe_path(path) for path in role["databases"]), "the path of a database leads elsewhere")
        for dump in role.get("dumps", ()):
            need(PLAIN_NAME.fullmatch(dump["name"]), "a dump has no proper name")
            words = [*dump["dump"], *dump["restore"]]
            need(
                dump["dump"] and dump["restore"] and all(isinstance(w, str) and "\0" not in w for w in words),
                "a dump is no command",
            )
        for unit, seconds in role.get("watch", {}).items():
            need(unit in role["units"] and 0 < seconds <= 3600, "%r cannot be watched that long" % unit)
        health = role["health"]
        need(health is None or HEALTH_URL.fullmatch(health["url"]), "a health URL is not on this machine")


def check_hooks(plan: Record) -> None:
    """Refuse a hook at no moment, for no role of the plan, or with words that are none."""
    for hook in plan.get("hooks", ()):
        need(hook["moment"] in MOMENTS, "a hook has no proper moment")
        need(hook["role"] in [role["role"] for role in plan["roles"]], "a hook is for none of the roles")
        need(hook["account"] in ("application", "deploying"), "a hook has no proper account")
        need(hook["command"] and 0 < hook["deadline"] <= 3600, "a hook has no command or deadline")
        words = [*hook["command"], *hook["back"]]
        need(all(isinstance(word, str) and "\0" not in word for word in words), "a hook is no argument list")


def check_plan(plan: Record, tree: Tree) -> None:
    """Refuse a plan with anything in it that could lead elsewhere."""
    need(plan.get("root") == tree.root, "it is meant for another directory")
    need(RELEASE_NAME.fullmatch(plan["release"]), "the release has no proper name")
    need(PLAIN_NAME.fullmatch(plan["deployment"]), "the deployment has no proper name")
    need(isinstance(plan["fence"], int) and plan["fence"] > 0, "the fence is no positive number")
    check_roles(plan["roles"])
    check_hooks(plan)
    seen = set()
    for row in plan["manifest"]:
        path, mode, digest, size = row
        need(safe_path(path) and path not in seen, "a path of the manifest leads elsewhere or is there twice")
        need(mode in (0o444, 0o555) and DIGEST.fullmatch(digest) and size >= 0, "a row of the manifest is wrong")
        seen.add(path)
    config = plan["config"]
    need(all(PLAIN_NAME.fullmatch(name) for name in config["files"]), "a configuration file has no proper name")
    need(config["digest"] == config_digest(config_files(plan)), "the configuration does not fit its digest")
    need(all(RELEASE_NAME.fullmatch(pin) for pin in plan["pins"]), "a pinned release has no proper name")


def config_files(plan: Record) -> Dict[str, bytes]:
    """The configuration of a plan by file name. Raises Refused."""
    import binascii

    try:
        return {name: binascii.a2b_base64(text) for name, text in plan["config"]["files"].items()}
    except (ValueError, AttributeError):
        raise Refused("bad_request", "The plan is refused: its configuration is not base64.") from None


def config_digest(files: Dict[str, bytes]) -> str:
    """What a configuration is called: the digest of its files' digests."""
    return hashlib.sha256(
        canonical({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    ).hexdigest()
