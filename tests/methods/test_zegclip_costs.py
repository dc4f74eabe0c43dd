"""ZegCLIP's multiply-accumulates against a count by hand, layer by layer."""

import pytest

from benchmarks.training.costs import gmacs


@pytest.mark.parametrize(
    ("fields", "classes", "side"),
    [({}, 4, 32), ({}, 7, 64), ({"prompt_tokens": 9, "decoder_layers": 2}, 3, 48), ({"query": "text"}, 5, 32)],
)
def test_gmacs_by_hand(make_method, vocabulary, fields, classes, side):
    """Fails when a layer counts twice, as nothing, or at another number of tokens: prompts, CLS and patches."""
    prompts, decoder_layers = fields.get("prompt_tokens", 3), fields.get("decoder_layers", 3)
    width, embed, blocks, patch = 32, 16, 3, 8  # of the small CLIP
    n = (side // patch) ** 2
    tokens = 1 + prompts + n
    block = (
        4 * tokens * width * width  # query, key, value, output
        + 2 * tokens * tokens * width  # queries with keys, weights with values
        + 2 * tokens * width * 4 * width  # feed-forward
    )
    image = (
        n * width * 3 * patch * patch  # patches
        + blocks * prompts * width * width  # the projection of each block's prompts
        + blocks * block
        + (1 + n) * width * embed  # into text space
    )
    query = classes * (1 if fields.get("query") == "text" else 2) * embed * embed
    scores = classes * embed * embed + n * embed * embed + classes * n * embed  # query, key, their products
    layer = scores + n * embed * embed + classes * n * embed + classes * embed * embed + 8 * classes * embed * embed
    by_hand = image + query + (decoder_layers - 1) * layer + scores  # of the last layer the scores alone
    method = make_method(classes=classes, **fields)
    assert gmacs(method, vocabulary(classes), side) == pytest.approx(by_hand / 1e9, rel=1e-12)
