"""One node's core: the peer and the site's decisions together, events in, instructions out."""
