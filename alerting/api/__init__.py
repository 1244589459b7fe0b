"""Alerts and silences over HTTP."""
