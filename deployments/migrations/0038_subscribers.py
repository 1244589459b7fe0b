"""People who are told of incidents by e-mail."""

import django.db.models.deletion
from django.db import migrations, models

import deployments.models.encryption


class Migration(migrations.Migration):

    dependencies = [
        ('deployments', '0037_maintenance'),
    ]

    operations = [
        migrations.CreateModel(
            name='Subscriber',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', deployments.models.encryption.EncryptedTextField()),
                ('address_digest', models.CharField(max_length=64, unique=True)),
                ('secret', deployments.models.encryption.EncryptedTextField()),
                ('confirmation', models.CharField(help_text='Digest; empty once it was used.', max_length=64, null=True, unique=True)),
                ('cancellation', models.CharField(help_text='Digest of what ends it.', max_length=64, unique=True)),
                ('asked_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.AddField(
            model_name='notificationchannel',
            name='mails_subscribers',
            field=models.BooleanField(db_default=False, default=False, help_text='Sends public incidents to whoever subscribed on the status page; for mailto:// and mailtos://.', verbose_name='mails subscribers'),
        ),
        migrations.AddField(
            model_name='notificationdelivery',
            name='subscriber',
            field=models.ForeignKey(blank=True, editable=False, help_text="Who gets it instead of the channel's own recipients.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='deployments.subscriber'),
        ),
    ]
