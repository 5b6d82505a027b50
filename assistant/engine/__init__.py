"""Engines: three verbs, generate, stream and score, behind which a language model runs."""
