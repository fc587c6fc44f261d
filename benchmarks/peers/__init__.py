"""The peers, each a module that is run in a process of its own."""
