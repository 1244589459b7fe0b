"""Settings, policies, secrets and SSH keys of an environment, and the guards of who asks something of it."""
