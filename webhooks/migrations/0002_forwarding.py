"""Destinations, deliveries and attempts; what an endpoint has for them."""

import django.db.models.deletion
import instantlite.uuid7
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='endpoint',
            name='held',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='proxy_seconds',
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='signature',
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=instantlite.uuid7.uuid7, editable=False, primary_key=True, serialize=False)),
                ('endpoint_id', models.UUIDField(editable=False)),
                ('request_id', models.UUIDField(editable=False)),
                ('destination_id', models.UUIDField(editable=False, null=True)),
                ('url', models.TextField(blank=True, editable=False)),
                ('origin', models.CharField(choices=[('forward', 'Forward'), ('replay', 'Replay'), ('listen', 'Listen')], editable=False, max_length=10)),
                ('edited', models.JSONField(editable=False, null=True)),
                ('edited_body', models.BinaryField(null=True)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('delivering', 'Delivering'), ('delivered', 'Delivered'), ('dead', 'Dead'), ('skipped', 'Skipped')], editable=False, max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0, editable=False)),
                ('tries', models.PositiveIntegerField(default=0, editable=False)),
                ('created_at', models.DateTimeField(editable=False)),
                ('next_at', models.DateTimeField(editable=False, null=True)),
                ('until', models.DateTimeField(editable=False)),
                ('finished_at', models.DateTimeField(editable=False, null=True)),
                ('note', models.TextField(blank=True, default='', editable=False)),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'ordering': ['id'],
                'indexes': [models.Index(fields=['request_id'], name='delivery_of_request'), models.Index(fields=['endpoint_id', 'id'], name='delivery_of_endpoint'), models.Index(condition=models.Q(('state__in', ['pending', 'delivering'])), fields=['destination_id', 'id'], name='delivery_open'), models.Index(condition=models.Q(('state', 'pending')), fields=['destination_id', 'next_at'], name='delivery_due'), models.Index(condition=models.Q(('state', 'delivering')), fields=['destination_id', 'next_at'], name='delivery_lease')],
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.UUIDField(default=instantlite.uuid7.uuid7, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(editable=False)),
                ('started_at', models.DateTimeField(editable=False)),
                ('duration_ms', models.FloatField(editable=False)),
                ('status', models.PositiveIntegerField(editable=False, null=True)),
                ('error', models.TextField(blank=True, editable=False)),
                ('answer_headers', models.JSONField(editable=False)),
                ('answer_body', models.BinaryField()),
                ('answer_truncated', models.BooleanField(default=False, editable=False)),
                ('delivery', models.ForeignKey(db_constraint=False, editable=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='tried', to='webhooks.delivery')),
            ],
            options={
                'ordering': ['number'],
            },
        ),
        migrations.CreateModel(
            name='Destination',
            fields=[
                ('id', models.UUIDField(default=instantlite.uuid7.uuid7, editable=False, primary_key=True, serialize=False)),
                ('endpoint_id', models.UUIDField(editable=False)),
                ('url', models.TextField()),
                ('listed', models.BooleanField(default=True, editable=False)),
                ('enabled', models.BooleanField(default=True)),
                ('stopped', models.TextField(blank=True, default='', editable=False)),
                ('filter', models.JSONField(blank=True, null=True)),
                ('timeout_seconds', models.FloatField(default=10)),
                ('ordered', models.BooleanField(default=False)),
                ('signing', models.JSONField(blank=True, editable=False, null=True)),
                ('created_at', models.DateTimeField(editable=False)),
                ('room', models.PositiveIntegerField(default=1, editable=False)),
                ('failures', models.PositiveIntegerField(default=0, editable=False)),
                ('rests_until', models.DateTimeField(editable=False, null=True)),
                ('wake_at', models.DateTimeField(editable=False, null=True)),
                ('lost', models.BigIntegerField(default=0, editable=False)),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['endpoint_id'], name='destination_of'), models.Index(condition=models.Q(('wake_at__isnull', False)), fields=['wake_at'], name='destination_wake')],
            },
        ),
    ]
