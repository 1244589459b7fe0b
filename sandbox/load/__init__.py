"""Life in a room of a CyTube server that one may load: people, floods, raids, and a moderator who checks answers."""
