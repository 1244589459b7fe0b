"""What people look at: status page, health, charts, readiness."""
