"""Packages, accounts, their groups and their keys."""

from __future__ import annotations

import grp
import os
import pwd

from .accounts import as_account
from .authorized_keys import allow
from .machine import Change, Machine, Operation, group_id, user_id
from .paths import Refused
from .tools import call, must

APT_TIMEOUT = 900.0  # s


def op_package(machine: Machine, operation: Operation) -> Change:
    name = operation["name"]
    code, output = call(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name])
    installed, _, version = output.partition(" ")
    if code == 0 and installed == "installed":
        return version, version
    machine.ours.add("package", name)
    if not machine.plan:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "-q", name]
        if call(install, APT_TIMEOUT)[0] != 0:
            must(["apt-get", "update", "-q"], APT_TIMEOUT)
            must(install, APT_TIMEOUT)
    return "not installed", "installed"


def op_user(machine: Machine, operation: Operation) -> Change:
    name, wanted = operation["name"], "shell %s, home %s" % (operation["shell"], operation["home"])
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        refuse_taken_group(machine, name)
        if os.path.lexists(operation["home"]) and not machine.ours.has("directory", operation["home"]):
            raise Refused("%s is there, but no account %s. Move it away first." % (operation["home"], name)) from None
        machine.planned_users.append(name)
        machine.ours.add("account", name)
        if not machine.plan:
            argv = ["useradd", "--user-group", "--shell", operation["shell"], "--home-dir", operation["home"]]
            argv += ["--system"] if operation["system"] else []
            argv += ["--create-home"] if operation["create_home"] else ["--no-create-home"]
            must([*argv, name])
        return "no such user", wanted
    machine.ours.refuse_foreign("account", name, "Rename or remove it (usermod --login, userdel).")
    machine.ours.add("account", name)
    before = "shell %s, home %s" % (found.pw_shell, found.pw_dir)
    if before != wanted and not machine.plan:
        must(["usermod", "--shell", operation["shell"], "--home", operation["home"], name])
    return before, wanted


def refuse_taken_group(machine: Machine, name: str) -> None:
    try:
        grp.getgrnam(name)
    except KeyError:
        return
    raise Refused("The group %s is there already and was not made by provisioning. Rename or remove it." % name)


def op_member(machine: Machine, operation: Operation) -> Change:
    user, group = operation["user"], operation["group"]
    group_id(machine, group)
    try:
        members = grp.getgrnam(group).gr_mem
    except KeyError:
        members = []
    if user in members:
        return "member", "member"
    user_id(machine, user)
    if not machine.plan:
        must(["usermod", "--append", "--groups", group, user])
    return "no member", "member"


def op_authorized_key(machine: Machine, operation: Operation) -> Change:
    """One line of ~user/.ssh/authorized_keys, known by its key; other people's lines stay as they are."""
    user, present = operation["user"], operation["present"]
    after = "allowed" if present else "not allowed"
    try:
        home = pwd.getpwnam(user).pw_dir
    except KeyError:
        if present:
            user_id(machine, user)
        return ("not allowed", after) if present else (after, after)
    machine.ours.refuse_foreign("account", user, "Its keys are not touched.")
    has = as_account(user, lambda: allow(home, operation["key"], present, machine.plan))
    return "allowed" if has else "not allowed", after
