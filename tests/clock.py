"""A clock that only tests move."""


class Clock:
    """Call it for the time in milliseconds; it stands until it is moved."""

    def __init__(self, now: int = 1_750_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def move(self, *, seconds: float = 0, milliseconds: int = 0) -> None:
        """Let time pass."""
        self.now += int(seconds * 1000) + milliseconds
