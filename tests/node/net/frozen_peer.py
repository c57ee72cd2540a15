"""A peer in a process of its own, to be frozen or killed: it listens, and dials who starts it.

Arguments: the address of the other peer (node a). It prints its own address once it listens.
"""

import asyncio
import sys

from tests.node.net.peers import NODE_A, NODE_B, peer


async def main(address: str) -> None:
    """Lives until it is killed."""
    one = peer(NODE_B)
    print(await one.listen(), flush=True)
    await one.dial(address, NODE_A)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1]))
