"""One scan on several machines by Ray: this machine decides and stores, nodes read files and run networks."""
