#!/usr/bin/env python3
"""errors.py KUBECONFIG FILE: asks what the file has and compares status, headers and bytes of each answer with those recorded in it."""
import base64
import http.client
import re
import ssl
import sys
import tempfile

import yaml

config = yaml.safe_load(open(sys.argv[1]))
cluster, user = config['clusters'][0]['cluster'], config['users'][0]['user']
host = cluster['server'].removeprefix('https://')
anonymous = ssl.create_default_context(cadata=base64.b64decode(cluster['certificate-authority-data']).decode())
administrator = ssl.create_default_context(cadata=base64.b64decode(cluster['certificate-authority-data']).decode())
with tempfile.NamedTemporaryFile() as pair:
    pair.write(base64.b64decode(user['client-certificate-data']) + b'\n' + base64.b64decode(user['client-key-data']))
    pair.flush()
    administrator.load_cert_chain(pair.name)

MASKS = {'<id>': r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', '<time>': r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', '<rv>': r'\d+', '<digest>': r'[0-9A-F]{64,128}', '<etc>': r'.*',
         '<uid>': r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', '<address>': r'\d+(?:\.\d+){3}:\d+'}
uid = ''


def matches(recorded, answered):
    """Whether a text is the recorded one; learns the uid."""
    global uid
    pattern = ''.join(MASKS.get(part, re.escape(part)) if part != '<uid>' or not uid else re.escape(uid) for part in re.split(r'(<\w+>)', recorded))
    if not re.fullmatch(pattern, answered, re.DOTALL):
        return False
    if '<uid>' in recorded and not uid:
        uid = re.search('"uid":"([^"]+)"', answered).group(1)
    return True


def split(lines):
    """Head and body of a request or an answer."""
    head = lines[:lines.index('')] if '' in lines else lines
    return dict(line.split(': ', 1) for line in head), '\n'.join(lines[len(head) + 1:])


def ask(method, path, headers, body):
    context = administrator
    if headers.get('Authorization') == 'none':
        headers, context = {}, anonymous
    connection = http.client.HTTPSConnection(host, context=context, timeout=60)
    connection.request(method, path, body.replace('<uid>', uid) or None, {'User-Agent': 'probe/1', **headers})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


asked = wrong = 0
for record in re.split(r'(?m)^>>> ', open(sys.argv[2]).read())[1:]:
    request, answer = record.rstrip('\n').split('\n<<< ', 1)
    (line, *request_lines), (status, *answer_lines) = request.split('\n'), answer.split('\n')
    headers, body = split(request_lines)
    wanted_headers, wanted_body = split(answer_lines)
    got, text = ask(*line.split(' ', 1), headers, body)
    problems = [] if str(got.status) == status else [f'status {got.status}, not {status}']
    for name, value in wanted_headers.items():
        if not any(matches(value, given) for given in got.headers.get_all(name, [])):
            problems.append(f'header {name}: {got.headers.get_all(name, [])}, not {value}')
    if not matches(wanted_body, text.rstrip('\n')):
        problems.append(f'body\n    {text[:1500]}\n  not\n    {wanted_body[:1500]}')
    asked += 1
    wrong += bool(problems)
    for problem in problems:
        print(f'WRONG: {line}: {problem}')
print(f'errors: {asked} requests, {wrong} wrong')
sys.exit(1 if wrong or asked < 40 else 0)
