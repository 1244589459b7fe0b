"""Row locks of the database, always taken in the same order: the environment, then the deployment.

On SQLite a transaction is exclusive from its start (IMMEDIATE), so the clauses mean nothing there.
"""

from deployments.models import Deployment, Environment


def locked_environment(pk: int) -> Environment:
    """The environment as it is now; decisions about it wait for the caller's transaction to end."""
    # no_key: rows that refer to the environment can be written meanwhile
    return Environment.objects.select_for_update(no_key=True).get(pk=pk)


def locked_deployment(pk: int, environment_pk: int) -> Deployment:
    """The deployment as it is now, under its environment's lock."""
    locked_environment(environment_pk)
    rows = Deployment.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("environment", "release").get(pk=pk)
