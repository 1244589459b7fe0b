"""People of the demo. Run by `manage.py shell`, because accounts are the portal's own business."""

SCRIPT = """
import json, os, sys
from django.contrib.auth.models import Group, User
from deployments.models import Environment, Scope
from deployments.access.policy import usable_scopes, user_actor
from deployments.access.tokens import issue_token
from deployments.core.actors import system_actor

asked = json.loads(os.environ["DEMO_ACCOUNTS"])
tokens = {}
for name, password in asked["passwords"].items():
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    user.set_password(password)
    user.is_staff = True
    user.is_superuser = name == "admin"
    user.save()
    if name != "admin":
        user.groups.set([Group.objects.get(name=name)])
for name, scopes in (
    ("operator", [Scope.READ, Scope.DEPLOY, Scope.OPERATE]),
    ("approver", [Scope.READ, Scope.APPROVE]),
    ("admin", None),
):
    owner = User.objects.get(username=name)
    scopes = usable_scopes(owner) if scopes is None else scopes
    _, text = issue_token(actor=user_actor(owner), name=f"demo-{name}", scopes=scopes, owner=owner, days=asked["days"])
    tokens[name] = str(text)
_, text = issue_token(
    actor=system_actor("demo"), name="demo-monitoring", scopes=[Scope.METRICS, Scope.ALERTS], days=asked["days"]
)
tokens["monitoring"] = str(text)
for name, configuration in asked["configuration"].items():
    Environment.objects.filter(name=name).update(configuration=configuration)
if asked["bake_seconds"] is not None:
    Environment.objects.update(bake_seconds=asked["bake_seconds"])
with open(os.environ["DEMO_TOKENS"], "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
    json.dump(tokens, file)
"""
