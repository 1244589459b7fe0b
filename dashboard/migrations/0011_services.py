"""Whether a service spoke, or was asked."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0010_in_hand'),
    ]

    operations = [
        migrations.AddField(
            model_name='botstate',
            name='probed',
            field=models.BooleanField(db_default=False, default=False, help_text='It did not speak: the portal asked its health address.'),
        ),
    ]
