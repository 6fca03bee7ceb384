"""Embeddings and confusions of hailo-face compared with a reference: the same weights in ONNX Runtime on faces
aligned by OpenCV. Skipped if these libraries are not installed."""
import json

import pytest

from face_tools import MODELS, PICTURES, TESTDATA, ask, detect, start
from pose_tools import SAMPLES, need

numpy = pytest.importorskip('numpy')
cv2 = pytest.importorskip('cv2')
onnxruntime = pytest.importorskip('onnxruntime')

TEMPLATE = [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    with start(tmp_path_factory.mktemp('faces')) as server:
        yield server


@pytest.fixture(scope='module')
def network():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(f'{MODELS}/mobilefacenet-faceplugin.onnx', options)


def similarity(points):
    """Returns the least-squares similarity transform without reflection (Umeyama 1991)."""
    source, target = numpy.asarray(points, float), numpy.asarray(TEMPLATE)
    p, q = source - source.mean(0), target - target.mean(0)
    norm = (p ** 2).sum()
    a, b = (p * q).sum() / norm, (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / norm
    turn = numpy.array([[a, -b], [b, a]])
    return numpy.hstack([turn, (target.mean(0) - turn @ source.mean(0))[:, None]])


def reference(network, picture, landmarks):
    aligned = cv2.warpAffine(picture, similarity(landmarks), (112, 112))
    blob = cv2.dnn.blobFromImages([aligned], 1 / 128, mean=(127, 127, 127), swapRB=True)
    vector = network.run(None, {network.get_inputs()[0].name: blob})[0][0]
    return vector / numpy.linalg.norm(vector)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def embed(server, path, face):
    """Returns the embedding, or None if the face is not found in its box."""
    response = ask(server, '/v1/embed', path, bbox=json.dumps(face['bbox']))
    assert response.status == 200 or 'No face detected' in response.json()['error'], (path, face, response)
    return numpy.array(response.json()['embedding']) if response.status == 200 else None


def pictures():
    return [SAMPLES / 'bus.jpg', SAMPLES / 'zidane.jpg', SAMPLES / 'solvay.jpg',
            *sorted((TESTDATA / 'face-verify-lfw10').rglob('*.jpg'))[::3],
            *sorted((TESTDATA / 'face-verify-tight').rglob('*.jpg'))[::3]]


def test_vectors_agree(faces, network):
    """Embeddings agree up to the rounding of landmarks to a tenth of a pixel. Large faces are skipped: OpenCV's
    bilinear filter skips pixels if it reduces a face, but ours averages them."""
    cosines = []
    for path in pictures():
        picture = read(need(path))
        for face in detect(faces, path):
            if numpy.linalg.norm(similarity(face['landmarks'])[:, 0]) < 0.5:
                continue
            cosines.append(float(embed(faces, path, face) @ reference(network, picture, face['landmarks'])))
    print(f'{len(cosines)} faces: least cosine {min(cosines):.5f}, median {numpy.median(cosines):.5f}')
    assert len(cosines) >= 60
    assert min(cosines) >= 0.999


SIMILAR_FACES = ('solvay_1927', 'worlds_largest_selfie', 'selfie-many-people', 'friends_t1', 'couple', 'bbt1')


@pytest.fixture(scope='module')
def similar_faces(faces, network):
    """For each picture: the sides of its faces, their embeddings, and the reference's for the same landmarks."""
    found, missed = [], 0
    for name in SIMILAR_FACES:
        path = need(PICTURES / f'{name}.jpg')
        picture = read(path)
        listed = [face for face in detect(faces, path, tiny_faces='true') if min(face['bbox'][2:]) >= 24]
        vectors = [embed(faces, path, face) for face in listed]
        kept = [(face, vector) for face, vector in zip(listed, vectors) if vector is not None]
        missed += len(listed) - len(kept)
        found.append((numpy.array([min(face['bbox'][2:]) for face, _ in kept]),
                      numpy.array([vector for _, vector in kept]),
                      numpy.array([reference(network, picture, face['landmarks']) for face, _ in kept])))
    print(f'{sum(len(entry[0]) for entry in found)} faces, {missed} not found again in their boxes')
    assert missed <= 0.05 * sum(len(entry[0]) for entry in found)
    return found


def scores(similar_faces, least, which):
    """Returns the cosines of all pairs within a photograph: different people of similar age, light and blur."""
    pairs = []
    for entry in similar_faces:
        vectors = entry[which][entry[0] >= least]
        if len(vectors) > 1:
            pairs.append((vectors @ vectors.T)[numpy.triu_indices(len(vectors), 1)])
    return numpy.concatenate(pairs)


@pytest.mark.parametrize('least, known', [(24, 0.0017), (40, 0.0014), (64, 0.0065)])
def test_false_matches_do_not_exceed_the_reference(similar_faces, least, known):
    ours, pycocotools_metrics = scores(similar_faces, least, 1), scores(similar_faces, least, 2)
    far, reference_far = (ours > 0.5).mean(), (pycocotools_metrics > 0.5).mean()
    print(f'>= {least} px: {len(ours)} pairs, FAR {far:.4f} at 0.50, the reference {reference_far:.4f}; '
          f'most {ours.max():.3f} and {pycocotools_metrics.max():.3f}')
    assert len(ours) >= 400
    assert far <= max(reference_far, known) + 1.5 / len(ours)
