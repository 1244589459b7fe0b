"""What every room above stands on: actors, locks, sessions, masking, records, the queue, questions to the database."""
