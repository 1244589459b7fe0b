from django.db import migrations, models

# What was heard before this column: a heartbeat stands for ten seconds, as far as there is room in its stretch.
_ESTIMATE = """
UPDATE dashboard_sample SET observed_seconds = CASE
    WHEN beats * 10.0 < connected_seconds THEN connected_seconds
    WHEN beats * 10.0 > resolution THEN resolution
    ELSE beats * 10.0 END
"""


class Migration(migrations.Migration):
    compatible_because = "It fills the column that was added here, which the running release neither reads nor writes."

    dependencies = [
        ('dashboard', '0005_alerts_left_out'),
    ]

    operations = [
        migrations.AddField(
            model_name='botstate',
            name='observed_until',
            field=models.DateTimeField(blank=True, help_text='Up to when it was listened to, silences included; empty: up to its last word.', null=True),
        ),
        migrations.AddField(
            model_name='sample',
            name='observed_seconds',
            field=models.FloatField(db_default=0.0, default=0.0, help_text='Time in which it was listened to, whatever was heard.'),
        ),
        migrations.RunSQL(_ESTIMATE, migrations.RunSQL.noop),
    ]
