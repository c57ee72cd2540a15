"""Chunks that were asked for and not yet reported: which, of whom, since when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flight:
    """One chunk, asked of one source."""

    artifact: bytes
    chunk: int
    source: str
    wan: bool
    length: int
    started_ms: int


class Flights:
    """All chunks under way of one node."""

    def __init__(self) -> None:
        self._flights: dict[tuple[bytes, int], list[Flight]] = {}
        self._bits: dict[bytes, int] = {}
        self._loads: dict[str, int] = {}
        self.lan_bytes = 0
        """Bytes asked of neighbours, all together."""

    def start(self, flight: Flight) -> None:
        """The chunk was asked for."""
        self._flights.setdefault((flight.artifact, flight.chunk), []).append(flight)
        self._bits[flight.artifact] = self.bits(flight.artifact) | 1 << flight.chunk
        self._load(flight, flight.length)

    def bits(self, artifact: bytes) -> int:
        """The chunks of the artifact that are under way."""
        return self._bits.get(artifact, 0)

    def load(self, source: str) -> int:
        """Bytes asked of one source."""
        return self._loads.get(source, 0)

    def of(self, artifact: bytes, chunk: int) -> list[Flight]:
        """The chunk's flights, oldest first."""
        return list(self._flights.get((artifact, chunk), ()))

    def all(self) -> list[Flight]:
        """All flights, those that started first first."""
        return [flight for flights in self._flights.values() for flight in flights]

    def end(self, flight: Flight) -> None:
        """One flight ended, well or not."""
        key = (flight.artifact, flight.chunk)
        self._flights[key].remove(flight)
        self._load(flight, -flight.length)
        if self._flights[key]:
            return
        del self._flights[key]
        self._bits[flight.artifact] ^= 1 << flight.chunk
        if not self._bits[flight.artifact]:
            del self._bits[flight.artifact]

    def _load(self, flight: Flight, by: int) -> None:
        self._loads[flight.source] = self.load(flight.source) + by
        if not self._loads[flight.source]:
            del self._loads[flight.source]
        if not flight.wan:
            self.lan_bytes += by
