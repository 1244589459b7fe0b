"""A process that carries an operation out is heard while it does, so that people can end what nobody is at any more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0042_github_claims")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="heard_at",
            field=models.DateTimeField(blank=True, help_text="When its process last said so.", null=True),
        ),
    ]
