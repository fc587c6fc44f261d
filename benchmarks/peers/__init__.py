"""The peers: each module is a program, which runs in a process of its own."""
