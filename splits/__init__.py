"""The facts of each benchmark: classes, folds and image lists, checked by sha256. Start at `loader`."""
