"""The language model behind a server: vLLM's model class, plugin and engine (docs/serving.md)."""
