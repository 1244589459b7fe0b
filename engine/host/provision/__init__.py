"""Provisioning: makes a server ready, or takes everything of ours off it, as root."""
