"""The HTML report and its figures, and pictures of predictions. Start at `page`."""
