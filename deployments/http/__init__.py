"""What every HTTP surface of ours shares: authentication, problems, limits, paging, idempotency."""
