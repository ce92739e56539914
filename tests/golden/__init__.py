"""What the golden tests compare with, and the files they are made on."""
