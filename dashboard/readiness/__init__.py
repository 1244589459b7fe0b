"""What must be true of a running system: the ten conditions and the limits of each application, from facts."""
