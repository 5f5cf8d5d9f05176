"""Changes that must not matter change nothing but the form."""

from delta.certificate.changes import rename_variables, separate_lines, wrap_lines


def test_a_long_line_is_broken_at_spaces_and_a_short_one_stays() -> None:
    trace = "short line\n" + "word " * 15
    assert wrap_lines("x", trace) == ("x", f"short line\n{('word ' * 12).strip()}\nword word word")


def test_an_empty_line_is_put_between_two_lines() -> None:
    assert separate_lines("x", "6 + 1 = 7\n7 + 4 = 11")[1] == "6 + 1 = 7\n\n7 + 4 = 11"
    assert separate_lines("x", "one line")[1] == "one line"


def test_a_variable_gets_the_same_new_letter_in_the_problem_and_the_trace() -> None:
    statement, trace = rename_variables("Solve $2x + y = 7$.", "Let's set y = 1, so 2x = 6, x = 3.")
    assert statement == "Solve $2b + c = 7$."
    assert trace == "Let's set c = 1, so 2b = 6, b = 3."


def test_words_commands_and_the_articles_keep_their_letters() -> None:
    texts = ("A dog and I: e is not a variable here.", r"\frac{1}{2} isn't max")
    assert rename_variables(*texts) == texts
