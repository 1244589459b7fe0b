"""The SSH session: paramiko behind a small face, strict host keys, a deadline on every wait."""
