from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_wall")]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="quotes_only",
            field=models.BooleanField(default=False),
        ),
    ]
