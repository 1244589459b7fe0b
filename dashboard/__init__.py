"""What people look at: status page, health, charts, and alerts from Alertmanager to a person."""
