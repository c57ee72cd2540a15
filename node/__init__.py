"""What touches the world: the daemon and its parts."""
