"""What a site decides alone. No leader, no votes: each live node computes the answer from the plan,
the registers and its own view of who is dead, and runs its own part."""
