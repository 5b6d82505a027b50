"""Ego-Exo4D (v2): from the official download to samples, and a generator of trees like it."""
