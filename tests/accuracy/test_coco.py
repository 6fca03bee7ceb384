"""Keypoint AP on 57 pictures of COCO val2017, and our evaluation compared with pycocotools on the same results
file."""
import json

import pytest

import compare_pycocotools
from pose_tools import SHARED, need, run

VAL = SHARED / 'testdata' / 'coco-pose-val'


def evaluate(tmp_path, *arguments):
    need(VAL)
    results = tmp_path / 'results.json'
    text = run('eval', '--coco', VAL / 'annotations.json', '--images', VAL / 'images', '--results', results, '--json',
               *arguments)
    return json.loads(text), results


@pytest.mark.parametrize('rectangular, least', [('false', 0.521), ('true', 0.508)])
def test_average_precision(tmp_path, rectangular, least):
    metrics, results = evaluate(tmp_path, '--set', f'inference.rectangular={rectangular}')
    assert metrics['images'] == 57
    assert metrics['AP'] >= least
    assert metrics['AP50'] > metrics['AP'] > 0
    compare_with_pycocotools(metrics, results)


def compare_with_pycocotools(metrics, results):
    if compare_pycocotools.missing():
        return  # optional, because Debian has no package of it; the limit on AP is checked without it
    for name, value in compare_pycocotools.pycocotools_metrics(VAL / 'annotations.json', results).items():
        assert metrics[name] == pytest.approx(value, abs=1e-4), name
