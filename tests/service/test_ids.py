"""Request names."""

from service.ids import RequestIds


def test_numbers_count_from_one_and_labels_differ_between_starts() -> None:
    first, second = RequestIds(), RequestIds()

    assert [first.next_request(), first.next_request(), second.next_request()] == [1, 2, 1]
    assert first.label(first.next_request()).endswith("-3")
    assert first.label(second.next_request()) != second.label(second.next_request())
