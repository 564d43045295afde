// Create, list, watch, patch, delete and an informer that survives a restart of the server, with @kubernetes/client-node.
import * as k8s from '@kubernetes/client-node';
import { existsSync, writeFileSync } from 'node:fs';
import assert from 'node:assert/strict';

const [kubeconfig, restartRequest] = process.argv.slice(2);
const kc = new k8s.KubeConfig();
kc.loadFromFile(kubeconfig);
const core = kc.makeApiClient(k8s.CoreV1Api);
const namespace = 'compat-node';
const until = async (condition, what) => {
  const end = Date.now() + 60000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('not in time: ' + what);
    await new Promise((r) => setTimeout(r, 20));
  }
};
const retry = async (f) => {
  const end = Date.now() + 60000;
  for (;;) {
    try { return await f(); } catch (e) { if (Date.now() > end) throw e; await new Promise((r) => setTimeout(r, 50)); }
  }
};

await core.createNamespace({ body: { metadata: { name: namespace } } });
const created = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'a', labels: { x: 'y' } }, data: { k: '1' } } });
assert.ok(created.metadata.uid);
await assert.rejects(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'a' } } }), (e) => e.code === 409);
const listed = await core.listNamespacedConfigMap({ namespace, labelSelector: 'x=y' });
assert.deepEqual(listed.items.map((i) => i.metadata.name), ['a']);
const patched = await core.patchNamespacedConfigMap({ name: 'a', namespace, body: [{ op: 'replace', path: '/data/k', value: '2' }] },
  k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch));
assert.equal(patched.data.k, '2');

const seen = new Map();
const informer = k8s.makeInformer(kc, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace }));
informer.on('add', (o) => seen.set(o.metadata.name, o.data));
informer.on('update', (o) => seen.set(o.metadata.name, o.data));
informer.on('delete', (o) => seen.delete(o.metadata.name));
let stopping = false;
informer.on('error', () => { if (!stopping) setTimeout(() => informer.start().catch(() => {}), 100); });
await informer.start();
await until(() => seen.has('a'), 'the first list');
writeFileSync(restartRequest, 'restart\n');
await until(() => existsSync(restartRequest + '.done'), 'the restart');
await retry(() => core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'after' }, data: { k: 'v' } } }));
await until(() => seen.get('after')?.k === 'v', 'a change after the restart');
await retry(() => core.deleteNamespacedConfigMap({ name: 'after', namespace }));
await until(() => !seen.has('after'), 'a deletion after the restart');
stopping = true;
await informer.stop();
await core.deleteNamespace({ name: namespace });
console.log('node client: ok');
process.exit(0);
