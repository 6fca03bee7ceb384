"""The built-in picture needs nothing but the default weights."""
import json

from pose_tools import run


def test_selftest_finds_the_drawn_person():
    report = json.loads(run('selftest', '--json'))
    assert report['ok'], report
    assert {check['name'] for check in report['checks']} >= {'models', 'device', 'picture'}
