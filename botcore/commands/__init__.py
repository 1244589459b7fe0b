"""The chat commands that moderators give by PM. Importing this package fills the registry."""

from botcore.commands import about, media, persons, talk
from botcore.commands.registry import REGISTRY

__all__ = ["REGISTRY", "about", "media", "persons", "talk"]
