"""The typed API of the control plane, and what every router of the portal shares: tokens, problems, limits."""
