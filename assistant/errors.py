"""The exceptions that a user may see: one line that says what, got, expected and remedy."""


class PoiseError(Exception):
    """Something that the user can mend; printed as one line, exit code 1.

    Args:
        what: what is wrong, naming the file or option.
        got: what was found.
        expected: what would have been right; an unknown name lists the known ones.
        remedy: what to do about it.
    """

    def __init__(self, what: str, *, got: str = "", expected: str = "", remedy: str = "") -> None:
        parts = [what]
        for label, text in (("got", got), ("expected", expected), ("remedy", remedy)):
            if text:
                parts.append(f"{label}: {text}")
        super().__init__("; ".join(" ".join(part.split()) for part in parts))


class EngineStopped(PoiseError):
    """The engine answers nobody any more, whatever is asked: no fault of the request."""
