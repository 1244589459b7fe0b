"""Accounts: made, changed, switched off, and what is withdrawn with them."""
