from clarion.http2 import Http2Error, errors


def test_the_drawn_tree_of_errors_is_complete() -> None:
    drawn = errors.__doc__ or ""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(each, Http2Error) and each.__name__ in drawn for each in classes)
    assert len(classes) == drawn.count("──") + 1
