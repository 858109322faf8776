"""The head of a Ray cluster: its GCS, without which no actor is started, found or declared dead."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass

from rl.faults import RunFailure

PROBE_TIMEOUT_S = 2.0
MOST_MISSES = 4
"""Probes in a row without an answer after which the head is given up: 20 s.

Ray aborts the driver, without a sentence, a minute after its GCS is gone; the run needs the rest to record its end and
to leave Ray. A GCS that is started anew within that time is no loss.
"""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The GCS that this process depends on."""

    address: str
    """host:port; "" for a run that reaches its cluster through a Ray client, which does not see the GCS."""
    probe_s: float = 5.0
    """Seconds between two probes."""

    async def gone(self) -> None:
        """Raise a RunFailure once nothing listens at the address; as long as something does, never return."""
        if not self.address:
            await asyncio.Event().wait()
        misses = 0
        while misses < MOST_MISSES:
            await asyncio.sleep(self.probe_s)
            misses = 0 if await self.listens() else misses + 1
        lost = RunFailure(
            f"Ray's GCS at {self.address} is gone, without which no actor lives on; gcs_server.out among Ray's logs on "
            "that machine may say why"
        )
        # Once more at the run's end, with how to go on; but if W&B's last minute delays that, Ray aborts the process
        # before it. To leave Ray first could cost the record, which is on the disk before W&B is waited for.
        print(lost, file=sys.stderr, flush=True)
        raise lost

    async def listens(self) -> bool:
        """Return True if a connection can be made. A GCS that hangs still listens, and calls of actors go on."""
        host, _, port = self.address.rpartition(":")
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            # TimeoutError is one.
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
