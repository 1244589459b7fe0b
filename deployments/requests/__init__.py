"""Asking, sealing, approving, going back, cancelling, baking."""
