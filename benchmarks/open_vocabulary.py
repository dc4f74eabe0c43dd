"""Named protocols of open-vocabulary scoring: sizes, windows, sentences, words and thresholds, data set by data set.

`training-free` is one rule for all methods and data sets, ours: what most of the public code has in common. The others
are those of a method's released code, thresholds and scales chosen by its authors on the very images they report. What
none of them has here: NACLIP's refinement of masks afterwards, and half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from benchmarks.protocol import BACKGROUND, EvalSide, Inference, Softmax
from benchmarks.templates import templates
from splits.errors import UserError
from splits.loader import load_split, read_facts
from splits.near import suggestion

Words = Literal["sclip", "clearclip", "proxyclip"]  # whose files of words
Names = tuple[tuple[str, ...], ...]  # all words for each class, in the order of the classes

COMMON: Final = "training-free"
TEMPLATES: Final = "imagenet-80"
LONG_SIDE: Final = 2048  # in all public code
EIGHT: Final = ("voc21", "pc60", "coco-object", "voc20", "pc59", "coco-stuff", "ade150", "cityscapes")  # of tables
FULL: Final = ("ade847", "pc459")
SETS: Final = (*EIGHT, *FULL)
WITH_BACKGROUND: Final = EIGHT[:3]
SQUEEZED: Final = ("coco-stuff", "ade150", "cityscapes")  # their words are asked without blanks, in all public code


@dataclass(frozen=True)
class NamedProtocol:
    """How every data set is asked and scored under one name."""

    name: str
    title: str
    words: Words
    short_side: Mapping[str, int]
    window: tuple[int, int]  # side and stride
    windows: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)  # of data sets with others; None: whole
    scale: float = 40.0  # of cosines before the softmax, where background is a class
    scales: Mapping[str, float] = field(default_factory=dict)  # of data sets with another
    threshold: Mapping[str, float] = field(default_factory=dict)  # probability below which background is said
    smallest_share: Mapping[str, float] = field(default_factory=dict)
    any_set: int | None = None  # short side of a data set that is none of SETS; None: there is no rule for one

    def inference(self, benchmark: str) -> Inference:
        """Sizes; raises UserError for a data set that this protocol has no rule for."""
        side = self.short_side.get(benchmark, self.any_set if benchmark not in SETS else None)
        if side is None:
            raise UserError(f"--protocol {self.name} says nothing of {benchmark}; it has: {', '.join(self.short_side)}")
        sizes = self.windows.get(benchmark, self.window)
        window, stride = sizes or (None, None)
        return Inference(short_side=side, long_side=LONG_SIDE, window=window, stride=stride)

    def softmax(self, benchmark: str) -> Softmax | None:
        """What says background; None where that is no class."""
        if benchmark not in WITH_BACKGROUND:
            return None
        return Softmax(
            scale=self.scales.get(benchmark, self.scale),
            threshold=self.threshold[benchmark],
            smallest_share=self.smallest_share.get(benchmark, 0.0),
        )

    def names(self, benchmark: str) -> Names | None:
        """All words for each class; None for a data set that has words of its own."""
        return names_of(benchmark, self.words) if benchmark in SETS else None


def _thresholds(*values: float) -> dict[str, float]:
    return dict(zip(WITH_BACKGROUND, values, strict=True))


def _sides(side: int, sets: tuple[str, ...] = EIGHT, **others: int) -> dict[str, int]:
    """One short side for all sets but some."""
    return dict.fromkeys(sets, side) | {name.replace("_", "-"): other for name, other in others.items()}


NAMED: Final = {
    protocol.name: protocol
    for protocol in (
        NamedProtocol(
            name=COMMON,
            title="one rule for all methods and data sets (ours, of what public code has in common)",
            words="sclip",
            short_side=_sides(336, SETS, cityscapes=560),
            window=(224, 112),
            threshold=_thresholds(0.1, 0.1, 0.1),
            any_set=336,
        ),
        NamedProtocol(
            name="sclip",
            title="SCLIP's released code (wangf3014/SCLIP at b56bd30)",
            words="sclip",
            short_side=_sides(336, coco_stuff=448, cityscapes=560),
            window=(224, 112),
            scales={"voc21": 65.0, "pc60": 50.0, "coco-object": 50.0},
            threshold=_thresholds(0.1, 0.1, 0.1),
            smallest_share={"voc21": 0.1},
        ),
        NamedProtocol(
            name="clearclip",
            title="ClearCLIP's released code (mc-lan/ClearCLIP at ad68a40)",
            words="clearclip",
            short_side=_sides(448),
            window=(448, 224),
            windows={"cityscapes": (224, 224)},
            scale=50.0,
            threshold=_thresholds(0.5, 0.15, 0.4),
        ),
        NamedProtocol(
            name="naclip",
            title="NACLIP's released code (sinahmr/NACLIP at 0cac3a6) without its refinement of masks",
            words="sclip",
            short_side=_sides(336, cityscapes=560),
            window=(224, 112),
            windows={"voc21": None, "voc20": None},
            threshold=_thresholds(0.1, 0.1, 0.1),
        ),
        NamedProtocol(
            name="proxyclip",
            title="ProxyCLIP's released code (mc-lan/ProxyCLIP at e7b767f)",
            words="proxyclip",
            short_side=_sides(336, SETS, ade150=448, cityscapes=448, ade847=448, pc459=448),
            window=(336, 112),
            windows={"cityscapes": (224, 112)},
            threshold=_thresholds(0.2, 0.15, 0.25),
        ),
        NamedProtocol(
            name="resclip",
            title="ResCLIP's released code (yvhangyang/ResCLIP at 0e085f7)",
            words="sclip",
            short_side=_sides(336, cityscapes=560),
            window=(224, 112),
            windows={"voc21": None, "voc20": None},
            threshold=_thresholds(0.1, 0.1, 0.1),
        ),
        NamedProtocol(
            name="sc-clip",
            title="SC-CLIP's released code (SuleBai/SC-CLIP at 0417ba9)",
            words="sclip",
            short_side=_sides(336, cityscapes=560),
            window=(224, 112),
            scales={"voc21": 50.0, "coco-object": 55.0},
            threshold=_thresholds(0.15, 0.15, 0.35),
            smallest_share={"voc21": 0.1},
        ),
    )
}


def named(name: str) -> NamedProtocol:
    """A protocol by name; raises UserError naming those that exist."""
    if name not in NAMED:
        raise UserError(f"no protocol is called {name!r}; {suggestion(name, NAMED)}")
    return NAMED[name]


def names_of(benchmark: str, whose: Words) -> Names:
    """All words that these authors ask for the classes of one of SETS with."""
    facts, classes = read_facts("open_vocabulary"), load_split(benchmark).classes
    known: dict[str, tuple[str, ...]] = {}
    if benchmark.startswith("voc"):
        known |= {name: tuple(words) for name, words in facts["voc_words"].items()}
    if whose == "sclip" and benchmark.startswith("voc"):
        known |= {name: tuple(words) for name, words in facts["voc_several"].items()}
    if whose == "sclip" and benchmark == "coco-object":
        known |= {name: tuple(words) for name, words in facts["coco_several"].items()}
    if whose != "clearclip" and benchmark in ("voc21", "coco-object"):
        fewer = whose == "proxyclip" and benchmark == "coco-object"
        known[BACKGROUND] = tuple(facts["background_words"]["17" if fewer else "26"])
    plain = {name: name.replace(" ", "") if benchmark in SQUEEZED else name for name in classes}
    return tuple(known.get(name, (plain[name],)) for name in classes)


def protocols_of(benchmark: str, side: EvalSide) -> tuple[str, ...]:
    """The named protocols under which a data set is asked and scored like this: they share rules for some sets."""
    return tuple(p.name for p in NAMED.values() if benchmark in p.short_side and _is(p, benchmark, side))


def _is(protocol: NamedProtocol, benchmark: str, side: EvalSide) -> bool:
    return (
        side.inference == protocol.inference(benchmark)
        and side.softmax == protocol.softmax(benchmark)
        and side.queries.names == protocol.names(benchmark)
        and side.queries.templates == templates(TEMPLATES)
        and (side.kind, side.background, side.absent_class) == ("generalised", "ignored", "skip")
    )
