"""How neural networks depend on their width."""
