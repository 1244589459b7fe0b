"""Maintenance windows."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('deployments', '0036_lock_until'),
    ]

    operations = [
        migrations.CreateModel(
            name='Maintenance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=120)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('public', models.BooleanField(default=False, help_text='Whether the status page tells everybody.')),
                ('made_by', models.CharField(max_length=150)),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('began_at', models.DateTimeField(blank=True, help_text='When its beginning was written down.', null=True)),
                ('ended_at', models.DateTimeField(blank=True, help_text='Its end, or when it was called off.', null=True)),
                ('silence', models.CharField(blank=True, help_text="Alertmanager's identifier of its silence.", max_length=64)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='maintenance', to='deployments.environment')),
            ],
            options={
                'verbose_name_plural': 'maintenance',
                'ordering': ('-starts_at', '-id'),
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['environment', 'starts_at'], name='open_maintenance'), models.Index(fields=['-starts_at', '-id'], name='maintenance_by_start')],
                'constraints': [models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='maintenance_lasts')],
            },
        ),
    ]
