"""Room for the bodies of all requests together: each is limited, and so is their sum."""

from quart_trio.wrappers.request import TrioBody

from service.http.errors import ApiError
from statemachines.units import format_bytes

RETRY_AFTER_S = 5


class BodyRoom:
    """How many bytes requests hold that are not over.

    Args:
        bytes_max: of all bodies together.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held_bytes = 0

    def take(self, count: int) -> None:
        """Hold so many more.

        Raises:
            ApiError: 503, there is no room for them.
        """
        if self._held_bytes + count > self._bytes_max:
            held = f"the bodies of other requests take the {format_bytes(self._bytes_max)} that there are for all"
            raise ApiError(503, f"{held} (setting bodies_max); try again in a moment", retry_after_s=RETRY_AFTER_S)
        self._held_bytes += count

    def give_back(self, count: int) -> None:
        self._held_bytes -= count


class RefusableBody(TrioBody):
    """A body that may be given up while it comes; whoever waits for it gets the error, as for one that is too large."""

    @property
    def is_given_up(self) -> bool:
        """Too large, or refused: what still comes of it is dropped."""
        return self._must_raise is not None

    def append(self, data: bytes) -> None:
        super().append(data)
        if self.is_given_up:
            self._data.clear()

    def refuse(self, error: Exception) -> None:
        self._must_raise = error
        self._data.clear()
        self.set_complete()
