"""What is told: metrics, signals of drift and collapse, the access log."""
