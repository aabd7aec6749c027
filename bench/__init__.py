"""What the budgets promise, measured and printed. Nothing is asserted here: tests judge order and counts, never speed."""
