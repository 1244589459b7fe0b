"""A bot's day, in a day or compressed: everything runs, faults and changes come on schedule, figures are written."""
