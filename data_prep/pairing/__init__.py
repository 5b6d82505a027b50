"""Pairs of a learner's faulty execution with experts' correct ones (ExpertAF section 3.2)."""
