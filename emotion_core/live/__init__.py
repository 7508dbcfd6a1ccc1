"""A camera as it runs: a slot for the newest frame, one thread that reads, and recordings."""

from .recording import RECORDING as RECORDING
from .session import LiveSession as LiveSession
from .session import LiveState as LiveState
from .slots import LiveSlots as LiveSlots
from .tools import LiveTools as LiveTools
