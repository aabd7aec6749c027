"""Worked numbers against the product: `python -m tests.vectors KIND PATH`."""
