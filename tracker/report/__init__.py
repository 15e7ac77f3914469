"""The papers of a job: JSON, CSV, text, Markdown, one HTML page, pictures and exports."""
