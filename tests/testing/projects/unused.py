import sys


def test_it():
    assert "pytest_aioq" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] in ("aioq", "redis")]
