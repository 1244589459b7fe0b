"""Repositories that tell of pushes: what is pushed is built, and asked for where an environment follows it."""
