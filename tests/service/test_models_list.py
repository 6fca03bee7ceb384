"""GET /v1/models."""
import time


def test_list(sim):
    response = sim.get('/v1/models')
    assert response.status == 200
    listing = response.json()
    assert list(listing)[:2] == ['data', 'object']
    assert listing['object'] == 'list'
    model = listing['data'][0]
    assert list(model)[:5] == ['id', 'object', 'created', 'owned_by', 'task']
    assert model['id'] == sim.get('/health').json()['model']
    assert model['object'] == 'model'
    assert model['owned_by'] == 'hailo'
    assert model['task'] == 'pose-estimation'


def test_created_is_the_start_of_the_service(sim):
    created = sim.get('/v1/models').json()['data'][0]['created']
    uptime = sim.get('/health').json()['uptime_seconds']
    assert isinstance(created, int)
    assert abs(time.time() - uptime - created) < 5


def test_head(sim):
    head = sim.request('HEAD', '/v1/models')
    assert (head.status, head.body) == (200, b'')
