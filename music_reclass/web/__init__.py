"""The library in a browser: pages to review, play and write, and a REST API that does all that the pages do."""
