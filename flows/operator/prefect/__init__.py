"""What the repository declares for Prefect, compared with what the server holds, and applied."""
