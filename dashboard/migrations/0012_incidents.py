"""Incidents, and what was said of them."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0011_services'),
        ('deployments', '0036_lock_until'),
    ]

    operations = [
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=120)),
                ('severity', models.CharField(choices=[('minor', 'Minor'), ('major', 'Major'), ('critical', 'Critical')], max_length=10)),
                ('state', models.CharField(choices=[('investigating', 'Investigating'), ('identified', 'Identified'), ('monitoring', 'Monitoring'), ('resolved', 'Resolved')], default='investigating', max_length=15)),
                ('public', models.BooleanField(default=False, help_text='Whether the status page shows it to everybody.')),
                ('opened_by', models.CharField(max_length=150)),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('alert', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='incidents', to='dashboard.alert')),
                ('environments', models.ManyToManyField(blank=True, related_name='incidents', to='deployments.environment')),
                ('servers', models.ManyToManyField(blank=True, related_name='incidents', to='deployments.server')),
            ],
            options={
                'ordering': ('-id',),
                'constraints': [
                    models.CheckConstraint(
                        condition=models.Q(resolved_at__isnull=False, state='resolved')
                        | models.Q(~models.Q(state='resolved'), resolved_at=None),
                        name='a_resolved_incident_has_its_end',
                    ),
                ],
                'indexes': [
                    models.Index(condition=models.Q(resolved_at=None), fields=['-id'], name='open_incidents'),
                    models.Index(fields=['resolved_at'], name='incidents_by_end'),
                ],
            },
        ),
        migrations.CreateModel(
            name='IncidentUpdate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('investigating', 'Investigating'), ('identified', 'Identified'), ('monitoring', 'Monitoring'), ('resolved', 'Resolved')], max_length=15)),
                ('text', models.CharField(max_length=1000)),
                ('author', models.CharField(max_length=150)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='updates', to='dashboard.incident')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
    ]
