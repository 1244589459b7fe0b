"""How dates and times are written in the control room."""
