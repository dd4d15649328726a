"""Who is told how a run ended: by a webhook, a command, or a notification block of Prefect."""
