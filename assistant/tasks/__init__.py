"""The tasks of the language model: which prompt, which parts, what the answer means. All pure."""
