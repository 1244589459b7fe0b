"""Versions, deployments and alerts are for members unless an administrator chose otherwise."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0012_incidents'),
    ]

    operations = [
        migrations.AlterField(
            model_name='statuspage',
            name='show_alerts',
            field=models.BooleanField(default=False, verbose_name='firing alerts'),
        ),
        migrations.AlterField(
            model_name='statuspage',
            name='show_deployments',
            field=models.BooleanField(default=False, verbose_name='running and recent deployments'),
        ),
        migrations.AlterField(
            model_name='statuspage',
            name='show_versions',
            field=models.BooleanField(default=False, verbose_name='versions and releases'),
        ),
    ]
