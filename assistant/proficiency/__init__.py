"""Where to look and how good it was: Stage 1, open set, prototype margins, ordinal calibration."""
