"""One small file a command group: read the words, call one function, print its report."""
