"""From a claim to the end: running plans on servers, settling what is true, silences, the reaper."""
