"""The four roles as groups, and the two environments."""

from django.db import migrations

ROLES = ("viewer", "operator", "approver", "administrator")


def forwards(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for role in ROLES:
        group.objects.get_or_create(name=role)
    environment = apps.get_model("deployments", "Environment")
    environment.objects.get_or_create(name="test", defaults={"order": 0, "approvals_required": 0})
    environment.objects.get_or_create(name="production", defaults={"order": 1, "approvals_required": 1})


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
