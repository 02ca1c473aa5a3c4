"""The protocols of the papers: from a data set on disk to their tables."""

from skfau.protocols._protocol import PROTOCOLS, Protocol
from skfau.protocols._result import ProtocolResult
from skfau.protocols._run import run

__all__ = ["PROTOCOLS", "Protocol", "ProtocolResult", "run"]
