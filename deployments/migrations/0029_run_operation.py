"""A command is an operation too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0028_jump_hosts")]

    operations = [
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
                ],
                max_length=12,
            ),
        )
    ]
