"""A request that selects another embedding model, with the real weights of both."""
import pathlib
import shutil
import subprocess

import pytest

import server as server_module
from face_tools import MODELS, PROGRAM, ask, have_weights, start
from pose_tools import SAMPLES, SHARED, need

OURS = 'faceplugin-mobilefacenet-v1'


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Both embedding models are installed; the default one is configured."""
    have_weights()
    models = tmp_path / 'models'
    models.mkdir()
    for name in ('scrfd-2.5g.onnx', 'mobilefacenet-faceplugin.onnx'):
        shutil.copyfile(pathlib.Path(MODELS) / name, models / name)
    subprocess.run([PROGRAM, 'models', 'import', need(SHARED / 'models' / 'w600k_mbf.onnx'), '--name', 'other', '--threshold',
                    '0.4', '--models', models], stdout=subprocess.DEVNULL, check=True)
    monkeypatch.setattr(server_module, 'MODELS', str(models))
    recognition = {'face_recognition.recognition_model': 'mobilefacenet-faceplugin'}
    with start(tmp_path, **recognition) as running:
        yield running


def test_embeddings_of_the_requested_model(server):
    picture = need(SAMPLES / 'zidane.jpg')
    plain = ask(server, '/v1/embed', picture).json()
    for field in ('recognition_model', 'model'):
        other = ask(server, '/v1/embed', picture, **{field: 'other'}).json()
        assert plain['embedding_space'] == OURS != other['embedding_space']
        assert plain['bbox'] == other['bbox']
        cosine = sum(a * b for a, b in zip(plain['embedding'], other['embedding']))
        assert abs(cosine) < 0.3
    assert ask(server, '/v1/embed', picture).json()['embedding'] == plain['embedding']


def test_compare_uses_the_requested_models_threshold(server):
    picture = need(SAMPLES / 'zidane.jpg')
    assert ask(server, '/v1/compare', picture, image2=picture.read_bytes()).json()['threshold'] == 0.5
    other = ask(server, '/v1/compare', picture, image2=picture.read_bytes(), recognition_model='other').json()
    assert other['threshold'] == pytest.approx(0.4) and other['same']


@pytest.mark.parametrize('route', ['recognize', 'database/add', 'database/verify'])
def test_gallery_rejects_embeddings_of_another_space(server, route):
    picture = need(SAMPLES / 'zidane.jpg')
    assert ask(server, '/v1/database/add', picture, name='Zinedine').status == 200
    response = ask(server, f'/v1/{route}', picture, name='Zinedine', recognition_model='other')
    assert response.status == 400
    assert response.json()['error'].startswith('recognition_model: ') and OURS in response.json()['error']
    listed = server.get('/v1/database/list').json()['identities']
    assert [(one['name'], one['embedding_count']) for one in listed] == [('Zinedine', 1)]
