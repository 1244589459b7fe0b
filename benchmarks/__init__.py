"""What we promise about speed, measured beside the peers in one run."""
