"""Backups of the portal, restoring them, and moving the portal to another server."""
