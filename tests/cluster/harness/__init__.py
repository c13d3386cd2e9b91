"""A real Kubernetes with KEDA, a Gateway and Prometheus, on one machine and beside others of its kind."""
