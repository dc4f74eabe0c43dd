"""From a method's scores to confusion matrices and metrics. Start at `evaluate`; `planes` is its plain reference."""
