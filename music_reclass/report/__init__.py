"""Reports about a scan or a library: statistics, lists and HTML pages."""
