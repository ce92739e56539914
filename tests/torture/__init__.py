"""The torture suite: kills, damaged files, refusing disks, odd clocks, names and files; the long form with --slow."""
