"""A tree of a name in a temporary directory, for the parts of the agent that need no systemd."""

from pathlib import Path

import pytest

from deployments.host.agent.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("releases", "envs", "shared/config", "shared/data", "shared/secrets", "backups", ".deploy/manifests"):
        (tmp_path / name).mkdir(parents=True)
    return Tree(str(tmp_path))
