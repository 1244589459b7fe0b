"""Charts as numbers and SVG paths, computed on the server: readable without JavaScript, under a strict policy."""
