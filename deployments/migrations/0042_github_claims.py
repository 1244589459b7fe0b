"""Several people may say that one account on GitHub is theirs, until one of them is confirmed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    compatible_because = "the new constraint demands less than the column's own, which it takes the place of"

    dependencies = [("deployments", "0041_bootstrap_key")]

    operations = [
        migrations.AlterField(
            model_name="githubaccount",
            name="account_id",
            field=models.PositiveBigIntegerField(db_index=True, help_text="Its number: a login can be given away."),
        ),
        migrations.AddConstraint(
            model_name="githubaccount",
            constraint=models.UniqueConstraint(
                fields=["account_id"],
                condition=models.Q(("confirmed_at__isnull", False)),
                name="one_owner_per_github_account",
            ),
        ),
    ]
