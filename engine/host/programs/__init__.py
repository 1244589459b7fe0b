"""Short programs for servers, each a file that travels as one argument of `python3 -c`. Standard library alone."""
