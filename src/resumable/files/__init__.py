"""Where bytes lie: local files, partials, what makes them durable."""
