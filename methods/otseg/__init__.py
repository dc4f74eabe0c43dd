"""OTSeg and OTSeg+ (Kim et al., ECCV 2024, arXiv 2403.14183): ZegCLIP with several texts a class and optimal transport."""
