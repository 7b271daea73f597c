"""Who is told: webhooks."""
