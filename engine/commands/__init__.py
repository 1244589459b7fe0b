"""Remote commands and provisioning operations, built as values by pure functions; no string is pasted into a shell."""
