"""`changed_at` in words: since when a bot is known to be what it is."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0013_less_for_strangers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='botstate',
            name='changed_at',
            field=models.DateTimeField(help_text='Since when it is known to be what it is, without a silence or a new process.'),
        ),
    ]
