"""What the mesh decides. Pure: no I/O, no clock, no randomness, no asyncio."""
