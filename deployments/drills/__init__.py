"""Rehearsals that are timed."""
