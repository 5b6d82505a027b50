"""Everything that runs when somebody asks Poise for feedback."""

__version__ = "0.1.0"
