"""Which process carries an operation out: of one that is gone it is known at once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "0038_subscribers")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="worker",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="Which process has it.", max_length=150
            ),
        ),
    ]
