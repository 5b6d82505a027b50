"""The expert library and how its demonstrations are ranked."""
