"""Public skill sets for the Sparse Skill Extractor's Table 3: docs/data/finediving_jigsaws.md."""
