"""What runs on servers: `agent/` carries plans out, `provision/` makes a machine ready.

Python >= 3.9, standard library alone; nothing here imports the rest of the portal. What travels is one file each, which
`pack` makes of a package.
"""
