"""An account on GitHub counts as somebody's once a second person has confirmed it; those linked before wait for that."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0039_operation_worker")]

    operations = [
        migrations.AddField(
            model_name="githubaccount",
            name="confirmed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="githubaccount",
            name="confirmed_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
    ]
