"""The steps of a run, one module each, in the order of `run.STEPS`; each changes one thing that settling can undo."""
