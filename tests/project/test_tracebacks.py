"""What is collected while a traceback is formatted, and formats one of its own, ends no run of pytest."""

import ast
import gc

PARSED = "{}['a']['b'](1)\n"


class Late:
    """In a circle with itself, so that it is collected at some later moment: in the middle of another's tree."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        ast.parse(PARSED)  # what `traceback` does with every line that it marks


def test_a_tree_is_made_whatever_is_collected_meanwhile() -> None:
    said: list[str] = []
    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        for _ in range(300):
            Late()
            try:
                ast.parse(PARSED * 5)
            except SystemError as error:  # "AST constructor recursion depth mismatch", on Python before 3.11.8
                said.append(str(error))
    finally:
        gc.set_threshold(*before)
    assert said == []
