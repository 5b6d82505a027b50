"""Prompt templates, the special-token vocabulary, the only renderer and the only parser.

`prompts` imports nothing else of Poise: every other package may import it.
"""
