import assert from 'node:assert/strict';
import test from 'node:test';
import { age, bytesText, fraction, podTone, selectorText, toneOf, toYaml, workloadStatus } from '../src/data/format.ts';
import { commandFor, kindOf, kinds, navigation, pathOf } from '../src/data/kinds.ts';
import { containerReason, containerWord, withoutSecrets } from '../src/data/objects.ts';
import { parsePlace, placePath } from '../src/data/place.ts';

test('ages read as kubectl prints them', () => {
  const ago = (s: number) => age(0, s * 1000);
  assert.deepEqual([0, 59, 119, 120, 190, 3600, 3 * 3600, 3 * 3600 + 60, 9 * 3600, 49 * 3600, 10 * 86400, 800 * 86400].map(ago),
    ['0s', '59s', '119s', '2m', '3m10s', '60m', '3h', '3h1m', '9h', '2d1h', '10d', '2y']);
  assert.equal(age(5000, 0), '0s');           // a clock ahead of ours
  assert.equal(age(NaN, 0), '');
});

test('status words have the colour of their meaning; a reason nobody knows is trouble', () => {
  assert.deepEqual(['Running', 'Pending', 'Init:0/2', 'Completed', 'CrashLoopBackOff', 'OOMKilled', 'Terminating', 'Ready,SchedulingDisabled', ''].map(toneOf),
    ['ok', 'info', 'info', 'mute', 'bad', 'bad', 'warn', 'warn', 'mute']);
  assert.equal(podTone('Running', '0/1'), 'warn');
  assert.equal(podTone('Running', '1/1'), 'ok');
  assert.deepEqual([workloadStatus(0, 0), workloadStatus(2, 2), workloadStatus(1, 2), workloadStatus(0, 2)].map(s => s.word), ['Stopped', 'Healthy', 'Degraded', 'Not ready']);
  assert.equal(fraction('2 of 3'), null);
});

test('bytes read as people say them', () => {
  assert.deepEqual(['24684096Ki', '512Mi', '1536Mi', '100', '1500m', '2Ti'].map(bytesText), ['24 GiB', '512 MiB', '1.5 GiB', '100 B', '1500m', '2Ti']);
});

test('selectors become text, expressions included', () => {
  assert.equal(selectorText({ matchLabels: { a: 'b' }, matchExpressions: [{ key: 'c', operator: 'In', values: ['d', 'e'] }, { key: 'f', operator: 'DoesNotExist' }] }), 'a=b,c in (d,e),!f');
});

test('YAML quotes what would be read as something else and indents what belongs together', () => {
  const text = toYaml({ kind: 'Pod', yes: 'true', number: '5', n: 5, empty: {}, list: [{ a: 1, b: ['x', 'y'] }, 'plain: no'], script: 'one\ntwo\n', nothing: null, blank: '', 'a.b/c': 'd', date: '2026-11-21' });
  assert.equal(text, ['kind: Pod', '"yes": "true"', 'number: "5"', '"n": 5', 'empty: {}', 'list:', '- a: 1', '  b:', '  - x', '  - "y"', '- "plain: no"', 'script: |', '  one', '  two',
    'nothing: null', 'blank: ""', 'a.b/c: d', 'date: "2026-11-21"', ''].join('\n'));
});

test('a place survives the way through the address', () => {
  for (const place of [{ ns: 'shop', kind: 'pods', name: 'web-1', tab: 'logs', query: { find: 'a b&c' } }, { ns: '', kind: 'pods', name: '', tab: '', query: {} }, { ns: '', kind: '', name: '', tab: '', query: {} },
    { ns: 'shop', kind: '', name: '', tab: '', query: {} }]) {
    const url = new URL(placePath(place), 'https://h');
    assert.deepEqual(parsePlace(url.pathname, url.search), place);
  }
  assert.equal(placePath({ kind: 'nodes', name: 'system:a/b' }, false), '/console/cluster/nodes/system%3Aa%2Fb');
  assert.equal(parsePlace('/console/p/%E0%A4%A', '').ns, '%E0%A4%A');    // not decodable is no reason to break
});

test('every page of the navigation is a kind, and every kind has its page', () => {
  assert.deepEqual(navigation.flatMap(g => g.kinds).sort(), kinds.map(k => k.id).sort());
  assert.equal(pathOf(kindOf('deployments')!, 'shop'), '/apis/apps/v1/namespaces/shop/deployments');
  assert.equal(pathOf(kindOf('nodes')!, 'shop'), '/api/v1/nodes');
  assert.equal(commandFor(kindOf('pods')!, '', 'get', ' -w'), 'kubectl get pods -w -A');
});

test('why a container does not run is said in words', () => {
  assert.equal(containerWord({ name: 'c', state: { terminated: { exitCode: 0 } } }), 'Completed');
  assert.equal(containerWord({ name: 'c', ready: false, state: { running: {} } }), 'NotReady');
  assert.match(containerReason({ name: 'c', state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 3 } } }), /exit code 3/);
  assert.match(containerReason({ name: 'c', state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }), /more memory/);
  assert.match(containerReason({ name: 'c', ready: false, state: { running: {} } }), /readiness/);
  assert.equal(containerReason({ name: 'c', ready: true, state: { running: {} } }), '');
});

test('a secret is shown without its values, its last applied form included', () => {
  const secret = { kind: 'Secret', metadata: { name: 's', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"p":"aHVudGVyMg=="}}' } }, data: { p: 'aHVudGVyMg==' } };
  assert.ok(!JSON.stringify(withoutSecrets(secret)).includes('aHVudGVyMg'));
  assert.equal(withoutSecrets({ kind: 'ConfigMap', data: { p: 'q' } }).data!['p'], 'q');
});
