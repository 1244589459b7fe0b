"""What runs on servers: `agent.py` carries plans out, `provision.py` makes a machine ready.

Both are one file each, standard library alone, and are sent to servers as they are; nothing here imports the rest of
the portal.
"""
