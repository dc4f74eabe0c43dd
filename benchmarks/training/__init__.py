"""The training loop and what feeds it. Start at `train`; `batches` and `transforms` make the samples."""
