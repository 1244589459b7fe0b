"""A signature that is said again, by two processes at the same time, is one consent to one request."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from deployments.lifecycle import Status
from deployments.models import Approval, AuditEvent
from deployments.requests.approvals import approve
from tests.deployments.world import World
from tests.fixtures.processes import environment_of
from tests.fixtures.signers import make_signer

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import sys
import django
django.setup()
from django.contrib.auth.models import User
from deployments.access.policy import user_actor
from deployments.execution.claims import claim
from deployments.models import Deployment
from deployments.requests.approvals import approve
from engine.errors import PortalError
first, second, signature = int(sys.argv[1]), int(sys.argv[2]), sys.stdin.read()
for number in (first, second):
    try:
        approve(actor=user_actor(User.objects.get(username="approver")),
                deployment=Deployment.objects.get(pk=number), signature=signature)
        print("approved", number)
    except PortalError as error:
        print(error.reason, number)
print("claimed" if claim(first) else "not claimed", first)
"""


@pytest.mark.django_db(transaction=True)
def test_of_two_processes_one_is_heard_once(transactional_db: None, world: World, tmp_path: Path) -> None:
    signer = make_signer(world.people["approver"], tmp_path, confirmed_by=world.people["administrator"])
    first, second = world.request(environment="production"), world.request("requester", environment="test")
    signature, environment = signer.signature(first), environment_of(tmp_path)
    connections.close_all()
    command = [sys.executable, "-c", WORKER, str(first.pk), str(second.pk)]
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdin
        worker.stdin.write(signature)
        worker.stdin.close()
        worker.stdin = None
    said = [line for worker in workers for line in worker.communicate(timeout=120)[0].splitlines()]
    assert said.count(f"approved {first.pk}") == 1
    assert f"approved {second.pk}" not in said
    assert said.count(f"claimed {first.pk}") == 1, said
    assert Approval.objects.get().signature == signature
    assert AuditEvent.objects.filter(name="deployment.approved").count() == 1


def test_the_deployments_page_says_with_which_key(world: World, tmp_path: Path) -> None:
    signer = make_signer(world.people["approver"], tmp_path, confirmed_by=world.people["administrator"])
    row = world.request()
    approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    client, address = world.client("viewer"), reverse("deployment", args=[row.pk])
    page = client.get(address).content.decode()
    assert "Signed with the SSH key laptop" in page
    assert signer.key.fingerprint in page
    assert "BEGIN SSH SIGNATURE" in page
    assert Client().get(address).status_code == 302, "members alone"
    plain = world.request("requester")
    Approval.objects.create(deployment=plain, actor="approver", decision="approved", seal=plain.seal)
    assert "Not signed." in client.get(reverse("deployment", args=[plain.pk])).content.decode()
    Approval.objects.filter(deployment=row).update(signed_with="SHA256:x")
    assert "a key that nobody has" in client.get(address).content.decode()
    assert row.status == Status.QUEUED
