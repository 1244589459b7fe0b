"""From Alertmanager to a person: inbox, acknowledgements, silences, receipts, dead man's switch, alert drills."""
