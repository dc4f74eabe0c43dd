"""OTSeg and OTSeg+ (Kim et al., ECCV 2024, arXiv 2403.14183): several texts a class, optimal transport."""
