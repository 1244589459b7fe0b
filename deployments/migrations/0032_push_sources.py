"""Repositories that tell of pushes, and what became of each push."""

import deployments.models.encryption
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('deployments', '0031_releases_from'),
    ]

    operations = [
        migrations.CreateModel(
            name='PushSource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text="Part of the webhook's address.", max_length=31, unique=True, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9-]{0,30}\\Z', 'Use lower-case letters, digits and hyphens.')])),
                ('kind', models.CharField(choices=[('github', 'GitHub'), ('gitlab', 'GitLab'), ('gitea', 'Gitea or Forgejo')], max_length=6)),
                ('url', models.CharField(help_text='Where it is fetched from: https://HOST/OWNER/NAME.git.', max_length=500, validators=[django.core.validators.RegexValidator('^(https://[A-Za-z0-9.-]+|http://(localhost|127\\.0\\.0\\.1))(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+){2,8}\\Z', 'Write https://HOST/OWNER/NAME.git, without user and password.')], verbose_name='repository')),
                ('ref', models.CharField(help_text='refs/heads/main, or refs/tags/v*.', max_length=250, validators=[django.core.validators.RegexValidator('^refs/(heads/[^\\s*]+|tags/[^\\s*]+\\*?)\\Z', 'Write refs/heads/main, or refs/tags/v*.')])),
                ('secret', deployments.models.encryption.EncryptedTextField(editable=False)),
                ('access_token', deployments.models.encryption.EncryptedTextField(blank=True, default='', editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(editable=False, max_length=150)),
                ('ended_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sources', to='deployments.environment')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Push',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(help_text="The delivery's id, as its sender gave it.", max_length=100)),
                ('digest', models.CharField(help_text='sha256 of the body.', max_length=64)),
                ('ref', models.CharField(max_length=250)),
                ('commit', models.CharField(max_length=64)),
                ('pushed_by', models.CharField(blank=True, help_text="The account's name there.", max_length=100)),
                ('person', models.CharField(blank=True, help_text='Whose account that is here.', max_length=150)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('building', 'Building'), ('requested', 'Requested'), ('ignored', 'Ignored'), ('failed', 'Failed')], default='queued', max_length=10)),
                ('sentence', models.CharField(blank=True, max_length=500)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
                ('taken_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('deployment', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='deployments.deployment')),
                ('release', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='deployments.release')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pushes', to='deployments.pushsource')),
            ],
            options={
                'verbose_name_plural': 'pushes',
                'ordering': ('-pk',),
                'constraints': [models.UniqueConstraint(fields=('source', 'number'), name='one_push_per_delivery'), models.UniqueConstraint(fields=('source', 'digest'), name='one_push_per_body')],
            },
        ),
    ]
