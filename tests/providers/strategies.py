"""What the API takes, for Hypothesis: contents and options of which every road makes a payload."""

from hypothesis import strategies as st

from clarion.model.notification import Content, Interruption, Options, Priority

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(characters), inner),
    max_leaves=10,
)  # fmt: skip
keys = st.none() | st.text(characters, min_size=1, max_size=64)


def contents(least_long: int, most_long: int) -> st.SearchStrategy[Content]:
    """Contents, some of whose inputs are one text of so many characters of two octets: about the provider's limit."""
    long_inputs = st.integers(least_long, most_long).map(lambda size: {"long": "é" * size})
    return st.builds(
        Content,
        text=st.text(characters, max_size=200),
        title=st.none() | st.text(characters, max_size=100),
        screen=st.text(characters, max_size=50),
        jig=st.none() | st.text(characters, max_size=50),
        inputs=st.dictionaries(st.text(characters, max_size=40), json_values, max_size=6) | long_inputs,
    )


options = st.builds(
    Options,
    priority=st.sampled_from(Priority),
    collapse_key=keys,
    badge=st.none() | st.integers(0, 1_000_000),
    sound=keys,
    category=keys,
    thread=keys,
    image_url=st.none() | st.integers(20, 1_000).map(lambda size: "https://example.com/".ljust(size, "i")),
    android_channel=st.none() | st.text(characters, min_size=1, max_size=100),
    interruption=st.none() | st.sampled_from(Interruption),
    is_critical=st.booleans(),
)
