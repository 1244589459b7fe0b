from django.db import migrations, models


def mark_earlier(apps, schema_editor):
    """Rehearsals of before are known by the reason that they were given."""
    rollbacks = apps.get_model("deployments", "Deployment").objects.filter(kind="rollback")
    rollbacks.filter(reason__in=["rollback drill, back", "rollback drill, forward"]).update(drill=True)


class Migration(migrations.Migration):

    dependencies = [
        ('deployments', '0008_tokens_of_machines'),
    ]

    operations = [
        migrations.AddField(
            model_name='deployment',
            name='drill',
            field=models.BooleanField(db_default=False, default=False, editable=False, help_text='A rehearsal, which no alert counts.'),
        ),
        migrations.RunPython(mark_earlier, migrations.RunPython.noop),
    ]
