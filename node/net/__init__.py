"""The network: a gRPC server with a guard, links, bulk, and who is at the other end."""
