"""A bot that rolls dice over HTTP and remembers how often."""
