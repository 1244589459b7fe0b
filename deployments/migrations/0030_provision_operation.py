"""Provisioning is an operation too; what it signs in with lies encrypted in the row until a worker begins."""

from django.db import migrations, models

import deployments.models.encryption


class Migration(migrations.Migration):
    dependencies = [("deployments", "0029_run_operation")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="credentials",
            field=deployments.models.encryption.EncryptedTextField(
                blank=True, db_default="", default="", editable=False
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="kind",
            field=models.CharField(
                choices=[
                    ("restart", "Restart"),
                    ("stop", "Stop"),
                    ("start", "Start"),
                    ("restore", "Restore data"),
                    ("run", "Command"),
                    ("provision", "Provisioning"),
                ],
                max_length=12,
            ),
        ),
    ]
