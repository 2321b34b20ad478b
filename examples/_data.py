"""A small CSV file for the examples."""

import csv
from pathlib import Path


def orders(path: str = "orders.csv", rows: int = 200_000) -> str:
    """Write `rows` orders; the path."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "customer", "total", "day"])
        writer.writerows(
            (n, f"customer {n % 997}", f"{n % 10_000}.25", f"2026-{n % 12 + 1:02}-01") for n in range(1, rows + 1)
        )
    return path
