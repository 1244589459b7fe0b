"""What a worker has done before it takes its first task."""

import subprocess
import sys

LOOK = """
import sys
import django
django.setup()
from django_q import signals
from engine.commands import agent
assert "deployments.tasks" not in sys.modules
signals.post_spawn.send(sender="django_q", proc_name="Process-1")
print("deployments.tasks" in sys.modules, agent.agent_digest.cache_info().currsize)
"""


def test_a_new_worker_has_its_tasks_and_the_agent_at_hand() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "1"], done.stderr
