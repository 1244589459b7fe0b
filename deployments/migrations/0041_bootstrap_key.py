"""What a provisioning signs in with has a table of its own, which no backup has; what waited before is forgotten."""

import django.db.models.deletion
from django.db import migrations, models

import deployments.models.encryption


def forget(apps, schema_editor):
    """Whoever asked asks again: the old column is in every backup."""
    apps.get_model("deployments", "Operation").objects.exclude(credentials="").update(credentials="")


class Migration(migrations.Migration):
    dependencies = [("deployments", "0040_github_account_confirmed")]

    operations = [
        migrations.CreateModel(
            name="BootstrapKey",
            fields=[
                (
                    "operation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="bootstrap_key",
                        serialize=False,
                        to="deployments.operation",
                    ),
                ),
                ("sealed", deployments.models.encryption.EncryptedTextField(editable=False)),
                ("made_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
