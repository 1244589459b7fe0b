"""A lock may carry its end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0035_request_counts")]

    operations = [
        migrations.AddField(
            model_name="environment",
            name="lock_until",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When it ends by itself; empty: when somebody unlocks it.",
                null=True,
            ),
        )
    ]
