"""The whole product on one machine: two real servers, a CyTube-protocol server, the portal, and the bot deployed."""
