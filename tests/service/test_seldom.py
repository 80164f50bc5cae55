"""One of many equal complaints."""

from service.seldom import Seldom


def test_one_complaint_is_made_and_the_rest_counted_until_it_is_due_again() -> None:
    now = 100.0
    complaint = Seldom(every_s=60, now_s=lambda: now)
    assert [complaint.lets_through() for _ in range(4)] == [True, False, False, False]
    now += 60
    assert complaint.lets_through()
    assert complaint.take_held() == 3
    assert complaint.take_held() == 0
