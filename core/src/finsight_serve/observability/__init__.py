"""What is measured, recorded and watched for: one description, from which Prometheus' files and the tables come."""
