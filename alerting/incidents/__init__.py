"""Incidents: what people are told of trouble that they notice, from its opening to its end."""
