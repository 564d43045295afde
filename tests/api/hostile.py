#!/usr/bin/env python3
"""hostile.py KUBECONFIG PID [PART…]: sends what clients with bad intentions send and counts what it costs the server, in bytes.

No item is timed. A request that does not end within five minutes counts as unbounded. LONG=1 sends the largest in full."""
import base64
import http.client
import json
import os
import ssl
import struct
import sys
import tempfile

import yaml

MEGABYTE = 1 << 20
MOST_MEMORY = 1400 * MEGABYTE    # resident at any time: 900 000 empty containers have defaults, and there are three documents of them for a moment
MOST_ANSWER = 8 * MEGABYTE      # of any answer

config = yaml.safe_load(open(sys.argv[1]))
pid = int(sys.argv[2])
cluster, user = config['clusters'][0]['cluster'], config['users'][0]['user']
address = cluster['server'].removeprefix('https://')
tls = ssl.create_default_context(cadata=base64.b64decode(cluster['certificate-authority-data']).decode())
with tempfile.NamedTemporaryFile() as pair:
    pair.write(base64.b64decode(user['client-certificate-data']) + b'\n' + base64.b64decode(user['client-key-data']))
    pair.flush()
    tls.load_cert_chain(pair.name)
anonymous = ssl.create_default_context(cadata=base64.b64decode(cluster['certificate-authority-data']).decode())

http.client._MAXHEADERS = 1000    # warnings
problems = []
items = 0


def peak():
    """Most memory that was ever resident."""
    for line in open(f'/proc/{pid}/status'):
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) * 1024
    raise SystemExit('the server is gone')


def ask(method, path, body=None, headers=None, context=tls):
    connection = http.client.HTTPSConnection(address, context=context, timeout=300)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader('Content-Length', str(len(body)))
    connection.endheaders()
    try:
        if body is not None:
            connection.send(body)
    except OSError:
        pass    # the answer came before the body was read
    answer = connection.getresponse()
    text = answer.read(MOST_ANSWER + 1)
    connection.close()
    return answer.status, text


def item(what, expected, method, path, body=None, kind='application/json', headers=None, context=tls, says=''):
    """The answer's status is one of those; 4xx come with a Status object and a reason."""
    global items
    items += 1
    if isinstance(body, str):
        body = body.encode()
    all_headers = dict(headers or {})
    if body is not None:
        all_headers.setdefault('Content-Type', kind)
    before = peak()
    try:
        status, text = ask(method, path, body, all_headers, context)
    except Exception as error:    # pylint: disable=broad-except
        problems.append(f'{what}: no answer: {error!r}')
        return
    grown = peak()
    if grown > MOST_MEMORY and before <= MOST_MEMORY:
        problems.append(f'{what}: memory grew from {before // MEGABYTE} to {grown // MEGABYTE} MB')
    if status not in expected:
        problems.append(f'{what}: {status} instead of {expected}: {text[:300]!r}')
    if len(text) > MOST_ANSWER:
        problems.append(f'{what}: an endless answer')
    if says.encode() not in text:
        problems.append(f'{what}: does not say "{says}": {text[:400]!r}')
    if status >= 400 and path.startswith('/api') and len(text) <= MOST_ANSWER:
        try:
            if json.loads(text)['kind'] != 'Status':
                problems.append(f'{what}: no Status: {text[:300]!r}')
        except (ValueError, KeyError):
            problems.append(f'{what}: no Status: {text[:300]!r}')


MAPS = '/api/v1/namespaces/default/configmaps'
PODS = '/api/v1/namespaces/default/pods'
CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
JSON_PATCH, MERGE, STRATEGIC, APPLY = ('application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json',
                                       'application/apply-patch+yaml')
DEEP = 200_000
MANY = 900_000 if os.environ.get('LONG') else 200_000    # items, each of which is defaulted and has errors of its own


def nested(open_, close, depth=DEEP, inside='1'):
    return open_ * depth + inside + close * depth


def crd(name, schema, **version):
    return json.dumps({'apiVersion': 'apiextensions.k8s.io/v1', 'kind': 'CustomResourceDefinition', 'metadata': {'name': f'{name}s.hostile.example'},
                       'spec': {'group': 'hostile.example', 'scope': 'Namespaced', 'names': {'kind': name.capitalize(), 'plural': f'{name}s'},
                                'versions': [{'name': 'v1', 'served': True, 'storage': True, 'schema': {'openAPIV3Schema': schema}, **version}]}})


def depth():
    item('the object to patch', {201, 409}, 'POST', MAPS, '{"metadata":{"name":"here"}}')
    item('objects inside objects', {400}, 'POST', MAPS, '{"metadata":{"name":"d"},"data":' + nested('{"a":', '}') + '}')
    item('lists inside lists', {400}, 'POST', MAPS, nested('[', ']'))
    item('an unclosed depth', {400}, 'POST', MAPS, '{"a":' * DEEP)
    item('deep where anything goes', {400, 422}, 'POST', CRDS, crd('deep', {'type': 'object', 'default': json.loads(nested('[', ']', 300))}))
    item('deep YAML', {400}, 'POST', MAPS, 'data: ' + nested('[', ']'), 'application/yaml')
    item('deep YAML blocks', {400}, 'POST', MAPS, ''.join(' ' * i + 'a:\n' for i in range(1500)), 'application/yaml')
    item('YAML dashes', {400}, 'POST', MAPS, '- ' * DEEP, 'application/yaml')
    item('a deep schema', {201, 400, 422}, 'POST', CRDS, crd('deep', json.loads('{"type":"object","properties":{"a":' * 110 + '{"type":"string"}' + '}}' * 110)))
    item('a deeper schema', {400}, 'POST', CRDS, crd('deep', 'HERE').replace('"HERE"', nested('{"type":"object","properties":{"a":', '}}', 40_000, '{}')))
    for name, kind, text in (('JSON', JSON_PATCH, '[{"op":"add","path":"/data","value":' + nested('[', ']') + '}]'), ('merge', MERGE, nested('{"a":', '}')),
                             ('strategic merge', STRATEGIC, nested('{"spec":', '}')), ('apply', APPLY, nested('{"a":', '}')), ('apply YAML', APPLY, 'a: ' + nested('[', ']'))):
        item(f'a deep {name} patch', {400, 422, 500}, 'PATCH', MAPS + '/here?fieldManager=x', text, kind)
    # A message inside a message inside a message: JSONSchemaProps.not is field 25.
    message = b''
    for _ in range(20_000):
        message = b'\xca\x01' + varint(len(message)) + message
        if len(message) > 2_900_000:
            break
    for field in (b'\x0a', b'\x0a', b'\x4a', b'\x12'):
        message = field + varint(len(message)) + message
    type_meta = b'\x0a\x17apiextensions.k8s.io/v1\x12\x18CustomResourceDefinition'
    raw = b'k8s\x00\x0a' + varint(len(type_meta)) + type_meta + b'\x12' + varint(len(message)) + message
    item('deep protobuf', {400, 422}, 'POST', CRDS, raw, 'application/vnd.kubernetes.protobuf')


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def size():
    keys = ','.join(f'"k{i}":""' for i in range(200_000))
    million = ','.join(f'"{i}":1' for i in range(1_000_000))
    item('a million keys', {413}, 'POST', MAPS, '{"metadata":{"name":"m"},"data":{' + million + '}}')
    item('keys up to the limit', {201}, 'POST', MAPS, '{"metadata":{"name":"keys"},"data":{' + keys + '}}')
    item('all of them again', {200}, 'PUT', MAPS + '/keys', '{"metadata":{"name":"keys"},"data":{' + keys.replace('k1', 'l1') + '}}')
    item('their end', {200}, 'DELETE', MAPS + '/keys')
    entries = b'\x0a\x03\x0a\x01p' + b''.join(b'\x12' + varint(len(e)) + e for e in (b'\x0a' + varint(len(k)) + k for k in (b'k%d' % i for i in range(200_000))))
    item('protobuf keys up to the limit', {201}, 'POST', MAPS + '?dryRun=All', b'k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12' + varint(len(entries)) + entries, 'application/vnd.kubernetes.protobuf')
    item('labels up to the limit', {422}, 'POST', MAPS, '{"metadata":{"name":"m","labels":{' + keys.replace('"k', '"_') + '}}}')
    item('annotations up to the limit', {422}, 'POST', MAPS, '{"metadata":{"name":"m","annotations":{' + keys + '}}}')
    item('a million items', {422}, 'POST', MAPS, '{"metadata":{"name":"m","finalizers":[' + ','.join(['""'] * 900_000) + ']}}')
    item('many empty owners', {422}, 'POST', MAPS, '{"metadata":{"name":"m","ownerReferences":[' + ','.join(['{}'] * MANY) + ']}}')
    item('many empty containers', {422}, 'POST', PODS, '{"metadata":{"name":"m"},"spec":{"containers":[' + ','.join(['{}'] * MANY) + ']}}')
    item('the same key all over', {400}, 'POST', MAPS + '?fieldValidation=Strict', '{"metadata":{"name":"m"},"data":{' + ','.join(['"a":"1"'] * 300_000) + '}}')
    item('unknown keys all over', {400}, 'POST', MAPS + '?fieldValidation=Strict', '{"metadata":{"name":"m"},' + keys + '}')
    item('warnings all over', {201}, 'POST', MAPS + '?fieldValidation=Warn&dryRun=All', '{"metadata":{"name":"m"},' + keys + '}')
    item('a long name', {422}, 'POST', MAPS, '{"metadata":{"name":"' + 'x' * 2_000_000 + '"}}')
    item('a long path', {404, 414, 431, 400}, 'GET', '/healthz/' + 'x' * 60_000)
    item('many query parameters', {200, 400, 414, 431}, 'GET', MAPS + '?' + '&'.join(f'a{i}=1' for i in range(5000)))
    item('a long Accept', {200, 406, 431}, 'GET', MAPS, headers={'Accept': ','.join(['application/x;q=0.1'] * 2500)})
    item('many groups in a review', {201, 400, 413}, 'POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews',
         json.dumps({'spec': {'user': 'x', 'groups': [f'g{i}' for i in range(100_000)], 'resourceAttributes': {'verb': 'get', 'resource': 'pods'}}}))
    item('a body that says it is packed', {400, 415}, 'POST', MAPS, b'\x1f\x8b\x08' + b'\0' * 1000, headers={'Content-Encoding': 'gzip'})


def numbers():
    for number in ('1e400', '-1e400', '1e-400', '9' * 1_000_000, '0.' + '1' * 1_000_000, '1e' + '9' * 100_000, '-0', '18446744073709551616'):
        item(f'a number {number[:10]}', {400, 422}, 'POST', PODS,
             '{"metadata":{"name":"n"},"spec":{"containers":[],"activeDeadlineSeconds":' + number + '}}')
    for text in ('1e1000000', '9' * 500_000, '1e-1000000', '0.' + '0' * 500_000 + '1', '1E' + '9' * 30, '-9223372036854775809Ei'):
        item(f'a quantity {text[:10]}', {400, 422}, 'POST', PODS,
             json.dumps({'metadata': {'name': 'n'}, 'spec': {'containers': [{'name': 'c', 'image': 'i', 'resources': {'limits': {'cpu': text}, 'requests': {'memory': '-1'}}}]}}))
    for text in ('9' * 400, '1h' * 100_000, '-1e9h'):
        item(f'a time {text[:10]}', {400, 422}, 'POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases',
             json.dumps({'metadata': {'name': 'n'}, 'spec': {'renewTime': text}}))
    for query in ('limit=' + '9' * 400, 'resourceVersion=' + '9' * 400, 'resourceVersion=-1', 'timeoutSeconds=' + '9' * 400, 'continue=' + 'A' * 20_000,
                  'continue=' + base64.urlsafe_b64encode(nested('{"v":', '}', 2000).encode()).decode()):
        item(f'the option {query[:20]}', {200, 400, 410, 500, 504}, 'GET', f'{MAPS}?{query}')


def texts():
    for bad in (b'\xff', b'\xc3', b'\xed\xa0\x80', b'\xf8\x88\x80\x80\x80', b'\xc0\x80', b'\x00'):
        item(f'{bad!r} in a name', {400, 422}, 'POST', MAPS, b'{"metadata":{"name":"a' + bad + b'"}}')
        item(f'{bad!r} in a key', {400, 422}, 'POST', MAPS, b'{"metadata":{"name":"u"},"data":{"k' + bad + b'":"v"}}')
        item(f'{bad!r} in YAML', {400, 422}, 'POST', MAPS, b'metadata: {name: "a' + bad + b'"}', 'application/yaml')
        escaped = ''.join(f'%{byte:02x}' for byte in bad)
        if bad != b'\0':    # no API path at all: refused before anything looks at it
            item(f'{bad!r} in a path', {400, 404}, 'GET', f'{MAPS}/{escaped}')
        item(f'{bad!r} in a selector', {400}, 'GET', f'{MAPS}?labelSelector=a%3D{escaped}')
        # A name of protobuf: text that is none.
        meta = b'\x0a' + varint(1 + len(bad)) + b'a' + bad
        message = b'\x0a' + varint(len(meta)) + meta
        raw = b'k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12' + varint(len(message)) + message
        item(f'{bad!r} in protobuf', {400, 422}, 'POST', MAPS, raw, 'application/vnd.kubernetes.protobuf')
    item('only surrogates', {400, 422}, 'POST', MAPS, '{"metadata":{"name":"' + '\\ud800' * 300_000 + '"}}')


def yamls():
    laughs = 'a0: &a0 [x,x,x,x,x,x,x,x,x]\n' + ''.join(f'a{i}: &a{i} [{",".join([f"*a{i - 1}"] * 9)}]\n' for i in range(1, 12)) + 'metadata: {name: y}\n'
    item('a billion laughs', {400, 413}, 'POST', MAPS, laughs, 'application/yaml')
    item('a billion laughs to apply', {400, 413}, 'PATCH', MAPS + '/y?fieldManager=x', laughs, APPLY)
    merges = 'a0: &a0 {x: 1}\n' + ''.join(f'a{i}: &a{i} {{<<: [{",".join([f"*a{i - 1}"] * 9)}], k{i}: 1}}\n' for i in range(1, 200))
    item('merge keys', {400, 413, 422}, 'POST', MAPS, merges, 'application/yaml')
    item('one anchor many times', {400, 413}, 'POST', MAPS, 'a: &a "' + 'x' * 100_000 + '"\nb: [' + ','.join(['*a'] * 100_000) + ']\n', 'application/yaml')
    item('an anchor in itself', {400}, 'POST', MAPS, 'a: &a [*a, *a]\n', 'application/yaml')
    item('many documents', {400, 422}, 'POST', MAPS, '---\n' * 500_000, 'application/yaml')
    item('many anchors', {400, 413, 422}, 'POST', MAPS, ''.join(f'k{i}: &a{i} v\n' for i in range(100_000)), 'application/yaml')
    item('many questions', {400}, 'POST', MAPS, '? ' * 300_000, 'application/yaml')


def patches():
    item('the object that is patched', {201}, 'POST', MAPS, '{"metadata":{"name":"big"},"data":{"a":"' + 'x' * 100_000 + '"}}')
    here = MAPS + '/big'
    item('too many operations', {413}, 'PATCH', here, '[' + ','.join(['{"op":"test","path":"/kind","value":"ConfigMap"}'] * 10_001) + ']', JSON_PATCH)
    item('many operations', {200, 422}, 'PATCH', here, '[' + ','.join(['{"op":"add","path":"/data/b","value":"1"}'] * 10_000) + ']', JSON_PATCH)
    doubling = [{'op': 'copy', 'from': '/data', 'path': f'/data/d{i}'} for i in range(60)]
    item('copies of copies', {400, 413, 422, 500}, 'PATCH', here, json.dumps(doubling), JSON_PATCH)
    item('copies', {400, 413, 422, 500}, 'PATCH', here, json.dumps([{'op': 'copy', 'from': '/data/a', 'path': f'/data/c{i}'} for i in range(9000)]), JSON_PATCH)
    item('far indexes', {400, 422, 500}, 'PATCH', here, '[{"op":"add","path":"/metadata/finalizers","value":[]},{"op":"add","path":"/metadata/finalizers/99999999999999999999","value":"x"}]', JSON_PATCH)
    item('a long pointer', {400, 422, 500}, 'PATCH', here, json.dumps([{'op': 'add', 'path': '/a' * 500_000, 'value': 1}]), JSON_PATCH)
    item('many nulls', {200}, 'PATCH', here, '{"data":{' + ','.join(f'"n{i}":null' for i in range(150_000)) + '}}', MERGE)
    item('many fields to own', {201}, 'PATCH', MAPS + '/owned?fieldManager=x',
         '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned"},"data":{' + ','.join(f'"n{i}":""' for i in range(100_000)) + '}}', APPLY)
    directives = {'spec': {'$setElementOrder/containers': [{'name': f'c{i}'} for i in range(50_000)], 'containers': [{'name': f'c{i}', '$patch': 'delete'} for i in range(50_000)]}}
    item('a pod', {201}, 'POST', PODS, '{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}')
    item('many directives', {200, 400, 422, 500}, 'PATCH', PODS + '/p', json.dumps(directives), STRATEGIC)
    elements = {'spec': {'$setElementOrder/containers': [{'name': f'c{i}'} for i in range(40_000)], 'containers': [{'name': f'c{i}'} for i in range(40_000)]}}
    item('many elements', {422, 500}, 'PATCH', PODS + '/p', json.dumps(elements), STRATEGIC)
    item('directives in directives', {400, 413, 422, 500}, 'PATCH', PODS + '/p', nested('{"$patch":"merge","spec":', '}', 400, '{}'), STRATEGIC)
    item('what is left of it', {200}, 'GET', here)


def schemas():
    leaf = {'type': 'string'}
    item('a reference', {422}, 'POST', CRDS, crd('ref', {'type': 'object', 'properties': {'a': {'$ref': '#/'}}}), says='$ref')
    item('a definition that contains itself', {422}, 'POST', CRDS, crd('ref', {'type': 'object', 'definitions': {'a': {'$ref': '#/definitions/a'}}}), says='definitions')
    item('many properties', {201, 422}, 'POST', CRDS, crd('wide', {'type': 'object', 'properties': {f'p{i}': leaf for i in range(60_000)}}))
    item('a repeated pattern', {422, 201}, 'POST', CRDS, crd('pattern', {'type': 'object', 'properties': {'a': {'type': 'string', 'pattern': '((a{1,1000}){1,1000}){1,1000}'}}}))
    nesting = {'type': 'object', 'properties': {'l': {'type': 'array', 'items': leaf}}}
    for n, rule in enumerate(("self.l.all(a, self.l.all(b, self.l.all(c, self.l.all(d, a + b == c + d))))", "self.l.map(a, self.l.map(b, self.l)).size() > 0")):
        item(f'an expensive rule {n}', {422}, 'POST', CRDS, crd(f'rule{n}', {**nesting, 'x-kubernetes-validations': [{'rule': rule}]}), says='exceeds budget')
    for name, rule in (('long', 'true' + ' && true' * 100_000), ('deep', nested('(', ')', 50_000, 'true')), ('unary', '!' * 100_000 + 'true'),
                       ('lists', nested('[', ']', 50_000) + '.size() > 0'), ('ternary', 'true ? ' * 50_000 + 'true'), ('macros', 'self.l.all(x, ' * 200 + 'true' + ')' * 200),
                       ('members', 'self' + '.a' * 100_000), ('regex', "'a'.matches('((a{1,1000}){1,1000}){1,1000}')")):
        item(f'a {name} expression', {422}, 'POST', CRDS, crd(f'cel{name}', {**nesting, 'x-kubernetes-validations': [{'rule': rule}]}))
    bounded = {'type': 'object', 'properties': {'s': {'type': 'string', 'maxLength': 1000}, 'l': {'type': 'array', 'maxItems': 20, 'items': {'type': 'string', 'maxLength': 10}}}}
    item('a rule that may be', {201}, 'POST', CRDS, crd('fine', {**bounded, 'x-kubernetes-validations': [{'rule': 'self.l.all(a, self.l.all(b, a.size() <= 10 || b.size() <= 10))'}]}))
    columns = [{'name': f'c{i}', 'type': 'string', 'jsonPath': '..' + '[*]..' * 40 + 'a'} for i in range(20)]
    item('columns that look everywhere', {201, 422}, 'POST', CRDS, crd('column', {'type': 'object', 'x-kubernetes-preserve-unknown-fields': True}, additionalPrinterColumns=columns))
    kinds = '/apis/hostile.example/v1/namespaces/default/columns'
    item('its object', {201, 404}, 'POST', kinds, '{"apiVersion":"hostile.example/v1","kind":"Column","metadata":{"name":"c"},"a":' + nested('{"a":', '}', 60) + '}')
    item('its table', {200, 404}, 'GET', kinds, headers={'Accept': 'application/json;as=Table;g=meta.k8s.io;v=v1'})
    policy = {'metadata': {'name': 'hostile'}, 'spec': {'failurePolicy': 'Fail', 'matchConstraints': {'resourceRules': [
        {'apiGroups': [''], 'apiVersions': ['v1'], 'operations': ['CREATE'], 'resources': ['secrets']}]},
        'validations': [{'expression': "object.data.all(a, object.data.all(b, object.data.all(c, object.data.all(d, a + b + c + d != ''))))"}]}}
    admission = '/apis/admissionregistration.k8s.io/v1'
    item('an expensive policy', {201}, 'POST', f'{admission}/validatingadmissionpolicies', json.dumps(policy))
    item('its binding', {201}, 'POST', f'{admission}/validatingadmissionpolicybindings',
         json.dumps({'metadata': {'name': 'hostile'}, 'spec': {'policyName': 'hostile', 'validationActions': ['Deny']}}))
    secret = json.dumps({'metadata': {'generateName': 's-'}, 'data': {f'k{i}': '' for i in range(400)}})
    status, text = 0, b''
    for _ in range(2000):    # until the policy is in force
        status, text = ask('POST', '/api/v1/namespaces/default/secrets', secret.encode(), {'Content-Type': 'application/json'})
        if status != 201:
            break
    if status != 422 or b'cost' not in text:
        problems.append(f'a policy beyond its budget: {status} {text[:300]!r}')
    item('the policy goes', {200}, 'DELETE', f'{admission}/validatingadmissionpolicies/hostile')
    item('its binding goes', {200}, 'DELETE', f'{admission}/validatingadmissionpolicybindings/hostile')


def identities():
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip('=')
    deep = base64.urlsafe_b64encode(nested('{"iss":', '}', 2000).encode()).decode().rstrip('=')
    for name, token in (('no signature', f'{head}.{deep}.'), ('dots', '.' * 5000), ('a long one', 'e' * 30_000), ('bytes', '\u00ff\u00fe')):
        item(f'a token: {name}', {401, 431}, 'GET', MAPS, headers={'Authorization': f'Bearer {token}'.encode('latin-1')}, context=anonymous)
    item('a long token to review', {201, 400, 413, 422}, 'POST', '/apis/authentication.k8s.io/v1/tokenreviews', json.dumps({'spec': {'token': 'x.' * 700_000}}))
    for name, text in (('no request', b'x'), ('a long one', b'-----BEGIN CERTIFICATE REQUEST-----\n' + b'A' * 1_000_000 + b'\n-----END CERTIFICATE REQUEST-----\n'),
                       ('lengths', b'-----BEGIN CERTIFICATE REQUEST-----\n' + base64.b64encode(b'\x30\x84\xff\xff\xff\xff' * 100) + b'\n-----END CERTIFICATE REQUEST-----\n'),
                       ('many', b'-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n' * 10_000)):
        item(f'a signing request: {name}', {400, 422}, 'POST', '/apis/certificates.k8s.io/v1/certificatesigningrequests',
             json.dumps({'metadata': {'name': 'x'}, 'spec': {'request': base64.b64encode(text).decode(), 'signerName': 'a.example/b', 'usages': ['client auth']}}))
    item('many extras of somebody else', {200, 403, 400, 431}, 'GET', MAPS, headers={'Impersonate-User': 'x', **{f'Impersonate-Extra-k{i}': 'v' for i in range(90)}})


def selectors():
    for name, selector in (('many terms', ','.join(['a=b'] * 6000)), ('many values', 'a in (' + ','.join(f'v{i}' for i in range(6000)) + ')'), ('parentheses', '(' * 20_000),
                           ('commas', ',' * 20_000), ('a long key', 'a' * 30_000)):
        encoded = selector.replace(' ', '%20')
        item(f'a selector: {name}', {200, 400, 431, 414}, 'GET', f'{MAPS}?labelSelector={encoded}')
        item(f'a field selector: {name}', {200, 400, 431, 414}, 'GET', f'{MAPS}?fieldSelector={encoded}')
    huge = {'metadata': {'name': 'sel'}, 'spec': {'selector': {'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': [f'v{i}' for i in range(100_000)]}]}, 'maxUnavailable': 1}}
    item('a selector in an object', {201, 413, 422}, 'POST', '/apis/policy/v1/namespaces/default/poddisruptionbudgets', json.dumps(huge))


for part in (depth, size, numbers, texts, yamls, patches, schemas, identities, selectors):
    if sys.argv[3:] and part.__name__ not in sys.argv[3:]:
        continue
    part()
    print(f'{part.__name__}: {items} requests so far, at most {peak() // MEGABYTE} MB', flush=True)
item('it is ready', {200}, 'GET', '/readyz')
for problem in problems:
    print('WRONG:', problem, file=sys.stderr)
print(f'hostile: {items} requests, {len(problems)} problems')
sys.exit(1 if problems else 0)
