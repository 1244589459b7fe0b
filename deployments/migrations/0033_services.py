"""What the service on a server is: a bot, or something without a room."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('deployments', '0032_push_sources'),
    ]

    operations = [
        migrations.AddField(
            model_name='server',
            name='service',
            field=models.CharField(choices=[('bot', 'A bot: it says whether it is in its room'), ('asked', 'A service: its health address is asked'), ('unasked', 'A service without a health address')], db_default='bot', default='bot', editable=False, help_text='What its service is, by the release that runs.', max_length=7),
        ),
    ]
