#!/usr/bin/python3
"""Writes the tables of docs/api.md and docs/face.md from the programs' description of their API.

    tools/api_tables.py BUILD            writes them
    tools/api_tables.py BUILD --check    lists the tables that differ; exit code 1 if any

A table stands between `<!-- PROGRAM KIND … -->` and `<!-- end -->`. KIND is `fields OPERATION [NAME…]` (fields of the
body, all or only these), `query OPERATION`, or `members SCHEMA [PREFIX.NAME…]` (members of a response; the members of
another object after a prefix: `poses[].=Person`).
"""
import difflib
import json
import os
import re
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = ['docs/api.md', 'docs/face.md']
BLOCK = re.compile(r'(<!-- (hailo-\w+) (fields|query|members) ([^>]*?) -->\n)(.*?)(<!-- end -->)', re.S)


def describe(build, program):
    done = subprocess.run([os.path.join(build, program), 'openapi', '--defaults'], check=True, capture_output=True,
                          text=True)
    return json.loads(done.stdout)


def operation(document, name):
    return next(route for path in document['paths'].values() for route in path.values()
                if route['operationId'] == name)


def body_of(document, name):
    content = operation(document, name)['requestBody']['content']['application/json']
    return document['components']['schemas'][content['schema']['$ref'].split('/')[-1]]


def number(value):
    return f'{value:.10g}'


def type_of(schema):
    """Returns the type and the bounds of a field in words."""
    if schema.get('contentEncoding') == 'base64':
        return 'file or base64', ''
    if 'enum' in schema:
        return ', '.join(f'`{word}`' for word in schema['enum']), ''
    kinds = schema.get('anyOf', [schema])
    first = kinds[0]
    kind = first.get('type')
    bounds = ''
    if 'minimum' in first:
        bounds = f"{number(first['minimum'])} to {number(first['maximum'])}" if 'maximum' in first else \
            f"at least {number(first['minimum'])}"
    if any('pattern' in other for other in kinds):
        unlimited = ', or -1' if any(other.get('const') == -1 for other in kinds) else ''
        return 'seconds, or text such as `"250ms"`, `"5m"`', f'{bounds} s{unlimited}'
    if any(other.get('const') == 'auto' for other in kinds):
        return 'number, or `auto`', bounds
    if kind == 'array' and first.get('maxItems') == 4:
        return 'four numbers [x, y, width, height]', ''
    if kind == 'array':
        return 'files, or an array', f"1 to {first['maxItems']} pictures"
    if kind == 'string' and 'maxLength' in first:
        return 'text', f"{first['minLength']} to {first['maxLength']} bytes"
    if isinstance(kind, list):
        return 'JSON object or null; in a form, its text', ''
    return {'number': 'number', 'integer': 'whole number', 'boolean': 'true or false', 'string': 'text',
            'object': 'JSON object; in a form, its text'}[kind], bounds


def default_of(schema, required):
    value, setting = schema.get('default'), schema.get('x-setting')
    text = '' if value is None else json.dumps(value).strip('"')
    if setting:
        text = f'`{setting}` ({text})' if text else f'`{setting}`'
    return 'required' if required else text


def row(*cells):
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def table(heads, rows):
    return '\n'.join([row(*heads), row(*['---'] * len(heads)), *(row(*cells) for cells in rows)]) + '\n'


def fields(document, words):
    body = body_of(document, words[0])
    rows = [(f'`{name}`', *type_of(schema), default_of(schema, name in body.get('required', [])),
             schema['description'])
            for name, schema in body['properties'].items() if name in words[1:] or not words[1:]]
    return table(['field', 'type', 'bounds', 'default', 'meaning'], rows)


def query(document, words):
    rows = [(f"`{one['name']}`", *type_of(one['schema']), default_of(one['schema'], one['required']),
             one['description'])
            for one in operation(document, words[0])['parameters'] if one['in'] == 'query']
    return table(['query', 'type', 'bounds', 'default', 'meaning'], rows)


def members(document, words):
    schemas, rows = document['components']['schemas'], []
    for word in words:
        prefix, _, name = word.rpartition('=')
        schema = schemas[name]
        rows += [(f'`{prefix}{member}`' + ('' if member in schema['required'] else ' (optional)'),
                  value['description']) for member, value in schema['properties'].items()]
    return table(['member', 'meaning'], rows)


def main(argv):
    check = argv[2:] == ['--check']
    if len(argv) < 2 or argv[2:] not in ([], ['--check']):
        print(__doc__, file=sys.stderr)
        return 2
    documents = {program: describe(argv[1], program) for program in ('hailo-pose', 'hailo-face')}
    makers, differences = {'fields': fields, 'query': query, 'members': members}, []
    for page in PAGES:
        path = os.path.join(TREE, page)
        with open(path, encoding='utf-8') as file:
            old = file.read()
        new = BLOCK.sub(lambda block: block[1] + makers[block[3]](documents[block[2]], block[4].split()) + block[6], old)
        differences += difflib.unified_diff(old.splitlines(), new.splitlines(), page, page, lineterm='', n=0)
        if not check:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(new)
    if check and differences:
        print('\n'.join(differences))
    return 1 if check and differences else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
