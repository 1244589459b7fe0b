"""GitHub's side: the runner's view of a deployment, reviews, secrets."""
