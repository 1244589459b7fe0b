"""A web service on FastAPI that systemd starts at its first visitor, and a worker that takes what visitors leave."""
