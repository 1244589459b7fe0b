from typing import Any

from django.db import migrations

MACHINES = {"heartbeat", "alerts", "metrics"}


def belong_to_nobody(apps: Any, schema_editor: Any) -> None:
    """What machines deliver needs a machine's token: those that administrators made in their own name become such."""
    for token in apps.get_model("deployments", "ApiToken").objects.exclude(owner=None).select_related("owner"):
        administers = token.owner.is_superuser or token.owner.groups.filter(name="administrator").exists()
        if token.server_id is not None or (administers and set(token.scopes) <= MACHINES):
            token.owner = None
            token.save(update_fields=["owner"])


class Migration(migrations.Migration):
    dependencies = [("deployments", "0007_api_token_name")]

    operations = [migrations.RunPython(belong_to_nobody, migrations.RunPython.noop)]
