"""For developers: compares our keypoint AP with pycocotools' on the same results file.

    compare_pycocotools.py ANNOTATIONS.json IMAGES_FOLDER [option of `hailo-pose eval` ...]

Exit code 0 if all numbers agree to 1e-4, 1 if they do not, 77 (skipped) if pycocotools is not installed. HS_BIN and
HS_MODELS_DIR specify the program and the models, as in the accuracy tests.
"""
import contextlib
import importlib.util
import io
import json
import pathlib
import sys
import tempfile

NAMES = ('AP', 'AP50', 'AP75', 'APM', 'APL', 'AR')


def missing():
    """Returns why the comparison is not possible, or None."""
    return None if importlib.util.find_spec('pycocotools') else 'pycocotools is not installed'


def pycocotools_metrics(annotations, results):
    """Returns the result of pycocotools for a results file: name -> value."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), 'keypoints')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, map(float, evaluation.stats)))


def main(annotations, images, *options):
    if missing():
        print(f'skipped: {missing()}')
        return 77
    from pose_tools import run
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder) / 'results.json'
        ours = json.loads(run('eval', '--coco', annotations, '--images', images, '--results', results, '--json',
                              *options))
        expected = pycocotools_metrics(annotations, results)
    names = [name for name in NAMES if name in ours]
    for name in names:
        print(f'{name:5} {ours[name]:.6f} {expected[name]:.6f}')
    return 0 if names and all(abs(ours[name] - expected[name]) <= 1e-4 for name in names) else 1


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
