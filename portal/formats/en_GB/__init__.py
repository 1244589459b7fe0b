"""Of LANGUAGE_CODE, where it differs from Django's: the clock has 24 hours, as in logs and on the other pages."""
