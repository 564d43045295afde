import assert from 'node:assert/strict';
import test from 'node:test';
import { Session, takeCode, tokenFrom, type Channel, type Keep } from '../src/data/session.ts';

class Memory implements Keep {
  map = new Map<string, string>();
  getItem(key: string) { return this.map.get(key) ?? null; }
  setItem(key: string, value: string) { this.map.set(key, value); }
  removeItem(key: string) { this.map.delete(key); }
}
// Accepts "good", and the code "abcdefgh" once.
function server() {
  const asked: { url: string; authorization: string | null }[] = [];
  let codes = 1;
  const fetch = async (url: string, init?: RequestInit): Promise<Response> => {
    const authorization = new Headers(init?.headers).get('Authorization');
    asked.push({ url, authorization });
    if (url === '/console/v1/login') return codes-- > 0 && JSON.parse(String(init?.body)).code === 'abcdefgh' ? Response.json({ token: 'good' }) : new Response('', { status: 401 });
    if (authorization !== 'Bearer good') return new Response('', { status: 401 });
    return url.endsWith('selfsubjectreviews') ? Response.json({ status: { userInfo: { username: 'ana' } } }, { status: 201 }) : Response.json({});
  };
  return { asked, fetch };
}
const at_once = (_: number, call: () => void) => call();
// Two ends of a wire, delivered at once.
function wire(): [Channel, Channel] {
  const make = (): Channel => ({ postMessage: () => {}, onmessage: null }) as unknown as Channel;
  const a = make(), b = make();
  a.postMessage = data => { b.onmessage?.({ data } as MessageEvent); };
  b.postMessage = data => { a.onmessage?.({ data } as MessageEvent); };
  return [a, b];
}

test('tokens are found in what people paste', () => {
  assert.equal(tokenFrom('  abc.def \n'), 'abc.def');
  assert.equal(tokenFrom('Authorization: Bearer abc'), 'abc');
  assert.equal(tokenFrom('apiVersion: v1\nkind: Config\nusers:\n- name: x\n  user:\n    token: "abc.def"\n'), 'abc.def');
  assert.throws(() => tokenFrom('kind: Config\nusers:\n- user:\n    client-certificate-data: AAAA\n'), /skerry console/);
  assert.throws(() => tokenFrom('two words'), /one word/);
});

test('the code leaves the address before anything else happens', () => {
  let url = '';
  assert.equal(takeCode({ hash: '#k=abcdefgh', pathname: '/console/p/shop', search: '?q=1' }, u => { url = u; }), 'abcdefgh');
  assert.equal(url, '/console/p/shop?q=1');
  assert.equal(takeCode({ hash: '#other', pathname: '/', search: '' }, () => assert.fail()), '');
});

test('a login link works once; then the page says how to get another', async () => {
  const { fetch } = server();
  const keep = new Memory();
  const first = new Session(fetch, keep, null, at_once);
  await first.start('abcdefgh');
  assert.equal(first.user.value, 'ana');
  assert.equal(keep.map.size, 1);
  const second = new Session(fetch, new Memory(), null, at_once);
  await second.start('abcdefgh');
  assert.equal(second.token.value, '');
  assert.match(second.notice.value, /used already/);
  assert.equal(second.starting.value, false);
});

test('a reload keeps the session, a stale one is forgotten quietly', async () => {
  const { fetch } = server();
  const keep = new Memory();
  keep.setItem('skerry-token', 'good');
  const session = new Session(fetch, keep, null, at_once);
  await session.start('');
  assert.equal(session.token.value, 'good');
  keep.setItem('skerry-token', 'stale');
  const late = new Session(fetch, keep, null, at_once);
  await late.start('');
  assert.equal(late.token.value, '');
  assert.equal(keep.map.size, 0);
});

test('a wrong token is refused with words and not kept', async () => {
  const keep = new Memory();
  const session = new Session(server().fetch, keep, null, at_once);
  await assert.rejects(session.login('bad'), /does not accept/);
  await assert.rejects(session.login('  '), /Paste/);
  assert.equal(keep.map.size, 0);
});

test('401 ends the session everywhere and says why; requests carry the token and no cookie', async () => {
  const { asked, fetch } = server();
  const keep = new Memory();
  const session = new Session(fetch, keep, null, at_once);
  await session.login('good');
  await session.request('/api/v1/pods');
  assert.equal(asked.at(-1)!.authorization, 'Bearer good');
  session.token.value = 'good no more';
  await session.request('/api/v1/pods');
  assert.equal(session.token.value, '');
  assert.match(session.notice.value, /has ended/);
  assert.equal(keep.map.size, 0);
});

test('a new tab gets the session from one that is open; logging out ends both', async () => {
  const { fetch } = server();
  const [a, b] = wire();
  const first = new Session(fetch, new Memory(), a, at_once);
  await first.login('good');
  const second = new Session(fetch, new Memory(), b, at_once);
  await second.start('');
  assert.equal(second.user.value, 'ana');
  second.logout();
  assert.equal(first.token.value, '');
});
