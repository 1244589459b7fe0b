"""The line to CyTube: where the server is, the session, what it refuses, and what is said within its limits."""
