"""What became of every task: status, failures, reports, redrive and reconcile."""
