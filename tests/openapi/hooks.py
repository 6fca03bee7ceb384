"""Loaded by schemathesis (SCHEMATHESIS_HOOKS). Adds to the description what JSON Schema cannot express, and drops the
failures that exclusions.toml explains. Every change here is explained by a comment or a row of that file."""
import base64
import json
import os
import re
import sys
import tomllib

import schemathesis
from hypothesis import strategies as st

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(FOLDER), 'service'))
from faces import PATTERNS, picture  # noqa: E402

# A description cannot state which bytes are a picture.
SMALL = {'width': 320, 'height': 240}
PICTURES = [picture((PATTERNS[0], 100, 60, 120), **SMALL), picture((PATTERNS[1], 105, 55, 120), **SMALL),
            picture((PATTERNS[2], 100, 60, 120), (PATTERNS[3], 10, 10, 60), **SMALL)]
BOXES = [[100, 60, 120, 120], [110, 70, 100.5, 100]]  # others may have no face, which is 400
PICTURE_TYPES = {'image/jpeg', 'image/png', 'image/webp', 'image/bmp', 'application/octet-stream'}
NAMES = ['Ann', 'Bob', 'Zoë', 'a/b']

schemathesis.openapi.format('picture', st.sampled_from(PICTURES))
schemathesis.openapi.format('picture-base64', st.sampled_from([base64.b64encode(data).decode() for data in PICTURES]))
schemathesis.openapi.format('identity', st.sampled_from(NAMES))

with open(os.path.join(FOLDER, 'exclusions.toml'), 'rb') as file:
    RULES = tomllib.load(file)['failure']


def text_within(low, high):
    """Returns a pattern for whole numbers of the range as text, and of fractions below 1 for a range up to 1."""
    if high == 1:
        return r'^(0[.][0-9]{1,6}|0|1)$'
    digits = len(str(high)) - 1
    return r'^[1-9][0-9]{0,%d}$' % (digits - 1) if low else r'^(0|[1-9][0-9]{0,%d})$' % (digits - 1)


def lenient(schema, place):
    """Returns the schema of all values that the services accept for a field, as in docs/api.md: numbers and booleans
    also as text, and null for the default."""
    kind, values = schema.get('type'), [{**schema}]
    if kind == 'boolean':
        values.append({'enum': ['true', 'false', '1', '0', 'yes', 'no', 'on', 'off']})
        values.append({'enum': [0, 1]})
    elif kind in ('number', 'integer') and 'maximum' in schema:
        low, high = schema['minimum'], schema['maximum']
        values.append({'type': 'string', 'pattern': text_within(low, high)})
        if kind == 'integer' and place == 'json':  # a real is truncated
            values.append({'type': 'number', 'minimum': low, 'maximum': high})
    if place == 'json':
        values.append({'type': 'null'})
    return {'anyOf': values}


def prepare(schema, name, place):
    """Returns the schema from which values for a field are made."""
    if schema.get('format') == 'binary':
        return {'type': 'string', 'format': 'picture'}
    if schema.get('contentEncoding') == 'base64':
        return {'type': 'string', 'format': 'picture-base64'}
    if schema.get('type') == 'array' and name == 'images':
        items = schema['items']
        if place == 'json':
            items = {'anyOf': [prepare(items['anyOf'][0], '', place),
                               {'type': 'object', 'required': ['image'],
                                'properties': {'image': prepare(items['anyOf'][0], '', place),
                                               'id': {'type': ['string', 'integer', 'null']}}}]}
        else:
            items = prepare(items, '', place)
        made = {**schema, 'items': items}
        # One base64 text is a list of one.
        return {'anyOf': [made, {'type': 'string', 'format': 'picture-base64'}]} if place == 'json' else made
    if name in ('timeout', 'X-Request-Timeout'):  # see exclusions.toml
        return lenient({'type': 'number', 'minimum': 20, 'maximum': 86400}, place)
    if name == 'keep_alive':
        return lenient({'type': 'number', 'minimum': 0, 'maximum': 31536000}, place)
    if name in ('model', 'recognition_model'):  # other names are 404
        return lenient({'type': 'string', 'enum': [MODELS[name]]}, place) if MODELS.get(name) else schema
    if name == 'name':
        return lenient({'type': 'string', 'format': 'identity', 'minLength': 1}, place)
    if name == 'expires_at':
        return lenient({'type': 'string', 'enum': ['never', 'default', '2099-01-31', '2099-01-31T12:00:00Z']}, place)
    if name == 'bbox':
        return lenient({'enum': BOXES}, place) if place == 'json' else {'enum': [json.dumps(box) for box in BOXES]}
    if schema.get('contentMediaType') == 'application/json':
        return {'enum': ['{}', '{"team": "a"}', 'null']}
    return lenient(schema, place)


MODELS = json.loads(os.environ.get('HS_OPENAPI_MODELS', '{}'))


@schemathesis.hook
def before_load_schema(_context, raw_schema):
    for name, schema in raw_schema['components']['schemas'].items():
        place = 'json' if name.endswith('Json') else 'form' if name.endswith('Form') else None
        if place:
            required = schema.get('required', ())
            for field, value in schema['properties'].items():
                made = prepare(value, field, place)
                if field in required and 'anyOf' in made:
                    made = {'anyOf': [one for one in made['anyOf'] if one != {'type': 'null'}]}
                schema['properties'][field] = made
    for path in raw_schema['paths'].values():
        for operation in path.values():
            for kind, content in operation.get('requestBody', {}).get('content', {}).items():
                if kind in PICTURE_TYPES:
                    content['schema'] = {'type': 'string', 'format': 'picture'}
            for parameter in operation.get('parameters', ()):
                parameter['schema'] = prepare(parameter['schema'], parameter['name'], 'parameter')


def has_body(case, kind):
    if kind == 'form':
        return case.media_type == 'multipart/form-data'
    return kind is None or (case.media_type in PICTURE_TYPES) == (kind == 'picture')


@schemathesis.hook
def filter_failure(_context, failure, case, response):
    """Drops a failure if a row of exclusions.toml applies; counts how often each row does."""
    text = response.content.decode('utf-8', 'replace')
    for number, rule in enumerate(RULES):
        if (rule['failure'] == type(failure).__name__ and
                re.fullmatch(rule.get('operation', '.*'), case.operation.label) and
                response.status_code in rule.get('status', [response.status_code]) and
                re.search(rule.get('response', ''), text) and
                re.search(rule.get('message', ''), str(failure)) and
                (not rule.get('header') or response.headers.get(rule['header'].lower())) and
                has_body(case, rule.get('body'))):
            with open(os.environ['HS_OPENAPI_EXCLUDED'], 'a', encoding='ascii') as log:
                log.write(f'{number}\n')
            return False
    return True
