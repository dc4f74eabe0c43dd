"""The first images of a data set, for a trial run."""

from benchmarks.data.reader import Reader, Sample


class Limited(Reader):
    """At most `count` images of another reader. What is made of it is partial."""

    def __init__(self, reader: Reader, count: int):
        self._reader = reader
        self.ids = reader.ids[:count]
        self.partial = True
        self.mask_rule = reader.mask_rule

    def read(self, index: int) -> Sample:
        """The sample `ids[index]` of the reader behind."""
        return self._reader.read(range(len(self.ids))[index])
