"""Sends requests that schemathesis makes from the OpenAPI documents, valid and invalid ones, to both services with the
simulated device, and checks every response. Needs `tools/setup.sh api_tools`."""
import collections
import json
import os
import subprocess
import tomllib

import pytest

from faces import FaceServer, one
from server import TREE, Server, wait_for

TOOLS = os.path.join(TREE, '.deps', 'api-tools', 'bin')
FOLDER = os.path.dirname(os.path.abspath(__file__))
SETTINGS = {'server.max_batch': 3}  # so that longer lists are short enough to be made
EXAMPLES = os.environ.get('HS_OPENAPI_EXAMPLES', '10')

pytestmark = pytest.mark.skipif(not os.path.exists(os.path.join(TOOLS, 'schemathesis')),
                                reason='schemathesis is not installed: tools/setup.sh api_tools')


def run_schemathesis(server, folder, models):
    report, excluded = folder / 'report.json', folder / 'excluded'
    excluded.touch()
    env = {**os.environ, 'SCHEMATHESIS_HOOKS': 'hooks', 'PYTHONPATH': FOLDER, 'HS_OPENAPI_EXCLUDED': str(excluded),
           'HS_OPENAPI_MODELS': json.dumps(models)}
    done = subprocess.run(
        [os.path.join(TOOLS, 'schemathesis'), 'run', server.url + '/openapi.json', '--checks', 'all', '--no-color',
         '--max-examples', EXAMPLES, '--seed', os.environ.get('HS_OPENAPI_SEED', '1'), '--workers', '1', '--continue-on-failure', '--no-shrink',
         '--report', 'json', '--report-json-path', str(report)],
        capture_output=True, text=True, check=False, cwd=folder, env=env, timeout=900)
    result = json.loads(report.read_text())
    counts = collections.Counter(excluded.read_text().split())
    return done, result, counts


def check(server, folder, models, record_property):
    done, result, counts = run_schemathesis(server, folder, models)
    cases = result['test_cases']
    with open(os.path.join(FOLDER, 'exclusions.toml'), 'rb') as file:
        rules = tomllib.load(file)['failure']
    excluded = {' '.join(rules[int(number)]['why'].split())[:60]: count for number, count in counts.items()}
    record_property('cases', cases['generated'])
    print(f"{cases['generated']} requests, {cases['unique_failures']} failures, excluded: {excluded}")
    assert done.returncode == 0 and result['exit_code'] == 0, '\n'.join(
        line[:400] for line in (done.stdout + done.stderr).splitlines()[-400:])
    assert result['complete'] and result['operations']['tested'] == result['operations']['selected'] > 8
    assert {name: phase['status'] for name, phase in result['phases'].items() if phase['status'] != 'skip'} == dict.fromkeys(
        ('coverage', 'fuzzing', 'stateful') if cases else (), 'success')
    assert server.process.poll() is None
    return cases


def test_pose(tmp_path, record_property):
    with Server(tmp_path, settings=SETTINGS) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        model = server.get('/health').json()['model']
        check(server, tmp_path, {'model': model}, record_property)


def test_face(tmp_path, record_property):
    with FaceServer(tmp_path, settings=SETTINGS) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        for number, name in enumerate(('Ann', 'Bob')):
            server.add(name, one(number))
        health = server.get('/health').json()
        models = {'model': health['detection_model'], 'recognition_model': health['recognition_model']}
        check(server, tmp_path, models, record_property)
