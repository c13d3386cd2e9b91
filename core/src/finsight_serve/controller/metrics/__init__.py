"""What Prometheus is told of a stack: read from the state and the ledger at each scrape, and served beside the rest."""
