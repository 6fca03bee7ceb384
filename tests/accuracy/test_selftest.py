"""The built-in picture works with the default weights only."""
import json

from pose_tools import run


def test_selftest_finds_the_drawn_person():
    report = json.loads(run('selftest', '--json'))
    assert report['ok'], report
    assert {check['name'] for check in report['checks']} >= {'models', 'device', 'picture'}
