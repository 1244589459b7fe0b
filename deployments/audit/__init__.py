"""The audit trail and its one writer."""
