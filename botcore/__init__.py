"""The bot: sits in one CyTube channel, obeys its moderators, and tells the truth about its health.

An island. It imports no Django and nothing of the portal; they meet over HTTP only (`/api/health`, heartbeats).
Protocol facts cited in this package come from a recording of CyTube 3.86.0, kept as
`tests/data/cytube-transcript.jsonl`.
"""
