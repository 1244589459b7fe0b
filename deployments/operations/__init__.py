"""What is done to a running service besides deploying it: asked for, carried out on its server, and recorded."""
