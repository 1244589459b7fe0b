"""Releases: building, uploading, opening and comparing them."""
