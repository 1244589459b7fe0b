from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0004_receipts_by_channel'),
    ]

    operations = [
        migrations.AddField(
            model_name='alertreceipt',
            name='left_out',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='How many alerts the delivery had besides, of which nothing is kept.'),
        ),
    ]
