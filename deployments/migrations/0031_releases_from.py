"""Which releases an environment takes; in a new portal, test takes those of commits."""

from django.db import migrations, models


def forwards(apps, schema_editor):
    if apps.get_model("deployments", "Release").objects.exists():
        return
    environment = apps.get_model("deployments", "Environment")
    environment.objects.filter(name="test", application="", approvals_required=0).update(releases_from="commits")


class Migration(migrations.Migration):
    dependencies = [("deployments", "0030_provision_operation")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="tag",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The tag of its version that was at its commit, by its builder's word.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="environment",
            name="releases_from",
            field=models.CharField(
                choices=[
                    ("commits", "Commits: also 1.4.0+g3f2a91c"),
                    ("versions", "Versions: a number that somebody gave"),
                    ("tags", "Tags only: the commit has its version's tag"),
                ],
                db_default="versions",
                default="versions",
                help_text="Which releases may be asked for here.",
                max_length=8,
            ),
        ),
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
