// One person's way through the console, in Chromium. Fails on any console error, exception or violation of the content security policy.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { strict as assert } from 'node:assert';

const require = createRequire(join(process.cwd(), 'ui-static/package.json'));
const { chromium } = require('playwright-core');
const { WORK: work, DATA_DIR: data, SKERRY_BIN: skerry, SHOTS: shots } = process.env;
const kWait = 30_000;
const kubectl = (...args) => execFileSync('kubectl', args, { encoding: 'utf8' }).trim();
const kubectlApply = objects => execFileSync('kubectl', ['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }), encoding: 'utf8' });
const verb = name => execFileSync(skerry, [name, '--data-dir', data], { encoding: 'utf8' }).trim();
const step = text => console.log(`-- ${text}`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});

const bad = [];
let expected = /^$/;             // errors that the step provokes
async function newTab(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(kWait);
  page.on('pageerror', e => bad.push(`exception: ${e.message}`));
  page.on('console', m => { if (m.type() === 'error' && !expected.test(m.text())) bad.push(`console: ${m.text()}`); });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)));
  return page;
}
const desktop = { ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, colorScheme: 'light' };
async function shot(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
}
// Waits for a handshake file of the script around us.
async function ask(question, answer) {
  writeFileSync(join(work, question), '');
  const end = Date.now() + 60_000;
  while (!existsSync(join(work, answer))) {
    assert(Date.now() < end, `no answer to ${question}`);
    await new Promise(r => setTimeout(r, 20));
  }
  renameSync(join(work, answer), join(work, `${answer}.seen`));
}
const container = (extra = {}) => ({ name: 'web', image: '127.0.0.1:5000/hello:1', ports: [{ containerPort: 8080 }], ...extra });
const pod = (name, ns, extra) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: ns, labels: { app: name } }, spec: { terminationGracePeriodSeconds: 0, containers: [container(extra)] } });
const row = (page, text) => page.getByRole('row').filter({ hasText: text });
const visible = (locator, what) => locator.first().waitFor({ timeout: kWait }).catch(() => { throw new Error(`not seen: ${what ?? locator}`); });
const gone = locator => locator.first().waitFor({ state: 'detached', timeout: kWait });

const context = await browser.newContext(desktop);
const page = await newTab(context);

step('a login link opens the console, once, and leaves the address');
const link = verb('console');
const base = new URL(link).origin;
await page.goto(link);
await visible(page.getByRole('heading', { name: 'Everything' }));
assert(!page.url().includes('k='), `the code is still in ${page.url()}`);
await shot(page, 'home-empty');
{
  const other = await browser.newContext(desktop);
  const late = await newTab(other);
  expected = /401/;
  await late.goto(link);
  await visible(late.getByText('was used already'));
  expected = /^$/;
  await other.close();
}

step('a pod appears while one looks, and changes until it runs');
await page.getByLabel('Namespace').selectOption('default');
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Pods' }).click();
await visible(page.getByText('No pods in default'));
await shot(page, 'pods-empty');
await page.evaluate(() => { window.neverReloaded = true; });
kubectlApply([pod('first', 'default')]);
await visible(row(page, 'first').filter({ hasText: 'Running' }), 'the running pod');

step('its page tells containers and events, live');
await row(page, 'first').getByRole('link', { name: 'first' }).click();
await visible(page.getByRole('heading', { level: 1, name: 'first' }));
await visible(page.getByText('127.0.0.1:5000/hello:1'));
await visible(page.getByText('Started container web', { exact: false }));
await shot(page, 'pod');
await page.getByRole('link', { name: 'Events', exact: true }).last().click();
await visible(page.getByText('Successfully assigned default/first'));
await page.getByRole('link', { name: 'YAML' }).click();
await visible(page.getByText('kind: Pod'));
await shot(page, 'yaml');

step('its log follows');
await page.getByRole('link', { name: 'Logs', exact: true }).click();
await visible(page.getByRole('log').getByText('serving as first'));
const say = (name, text) => kubectl('exec', name, '--', 'sh', '-c', `echo '${text}' >/proc/1/fd/1`);
say('first', 'a line for the reader');
await visible(page.getByRole('log').getByText('a line for the reader'));
kubectl('exec', 'first', '--', 'sh', '-c', 'for i in $(seq 300); do echo "request $i from 10.0.0.7"; done >/proc/1/fd/1; echo "warning: disk is filling" >/proc/1/fd/1; echo "error: no space left" >/proc/1/fd/1');
await visible(page.getByRole('log').getByText('no space left'));
await shot(page, 'logs');
const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
assert.equal(download.suggestedFilename(), 'first-web.log');
assert(readFileSync(await download.path(), 'utf8').includes('request 300 from 10.0.0.7\nwarning: disk'), 'the download is not the log');
const end = () => page.getByRole('log').evaluate(b => b.scrollHeight - b.scrollTop - b.clientHeight);
assert(await end() < 30, 'the log did not follow to its end');
await page.getByRole('log').evaluate(b => { b.scrollTop = 0; });
await visible(page.getByText('Following stopped'));
say('first', 'while reading above');
await visible(page.getByRole('log').getByText('while reading above'));
assert(await end() > 1000, 'reading above was disturbed');
await page.getByRole('button', { name: 'To the end' }).click();
await page.getByText('Following', { exact: true }).waitFor();

step('kill -9 of the server: the state stays on the screen, then goes on without a reload');
await page.goBack();
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Pods' }).click();
await visible(row(page, 'first'));
const reader = await newTab(context);
await reader.goto(`${base}/console/p/default/pods/first/logs`);
await visible(reader.getByRole('log').getByText('while reading above'));
expected = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SSL|ERR_CONNECTION_CLOSED|ERR_HTTP2|ERR_INCOMPLETE_CHUNKED|ERR_NETWORK/;
await ask('kill', 'killed');
await visible(page.getByText('Connection lost. This is the state of'));
assert(await row(page, 'first').count() === 1, 'the table was emptied');
await shot(page, 'lost');
await ask('start', 'started');
await gone(page.getByText('Connection lost'));
expected = /^$/;
kubectlApply([pod('second', 'default')]);
await visible(row(page, 'second').filter({ hasText: 'Running' }), 'a pod made after the restart');
assert(await page.evaluate(() => window.neverReloaded), 'the page was loaded again');
kubectl('delete', 'pod', 'second', '--now');
await gone(row(page, 'second'));
say('first', 'after the restart');
await visible(reader.getByRole('log').getByText('after the restart'));
assert.equal(await reader.getByRole('log').getByText('serving as first').count(), 1, 'the log repeated itself');
assert.equal(await reader.getByRole('log').getByText('while reading above').count(), 1, 'the log repeated itself');
await reader.close();

step('trouble is told in words');
kubectlApply([
  { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'shop' }, spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { terminationGracePeriodSeconds: 0, containers: [container()] } } } },
  { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'shop' }, spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] } },
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'web', namespace: 'shop' }, spec: { rules: [{ host: 'web.apps.localhost', http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] } }] } },
  pod('crashing', 'shop', { command: ['sh', '-c', 'echo error: no configuration; exit 3'] }),
  pod('unknown-image', 'shop', { image: '127.0.0.1:5000/nothing:1' }),
]);
await page.getByLabel('Namespace').selectOption('shop');
await visible(row(page, 'crashing').filter({ hasText: /CrashLoopBackOff|Error/ }));
await visible(row(page, 'unknown-image').filter({ hasText: /ImagePull/ }));
await shot(page, 'pods');
await row(page, 'crashing').getByRole('link', { name: 'crashing' }).click();
await visible(page.getByText('exit code 3'));
await shot(page, 'pod-crashing');
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Home' }).click();
await visible(page.getByText('Recent warnings'));
await visible(page.getByText(/things? needs? attention/));
await shot(page, 'home');
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Deployments' }).click();
await visible(row(page, 'web').filter({ hasText: '2/2' }));
await shot(page, 'deployments');
await row(page, 'web').getByRole('link', { name: 'web' }).click();
await visible(page.getByText('Healthy 2/2'));
await visible(page.getByRole('link', { name: /^web-/ }));
await shot(page, 'deployment');
kubectl('scale', 'deployment', 'web', '-n', 'shop', '--replicas=3');
await visible(page.getByText('Healthy 3/3'));

step('every page of the navigation opens, for one namespace and for all');
for (const ns of ['shop', '']) {
  await page.getByLabel('Namespace').selectOption(ns);
  const nav = page.getByRole('navigation', { name: 'Main' });
  for (const name of await nav.getByRole('link').allTextContents()) {
    await nav.getByRole('link', { name, exact: true }).click();
    await visible(page.getByRole('heading', { level: 1 }));
    await page.waitForFunction(() => !document.querySelector('.loading'));
    assert.equal(await page.getByText(/This server has no|cannot be shown/).count(), 0, `${name} is not served`);
    const first = page.locator('.grid a.name').first();
    if (ns === 'shop' && await first.count()) {
      const object = await first.textContent();
      await first.click();
      await visible(page.getByRole('heading', { level: 1, name: object }));
      await visible(page.getByRole('heading', { level: 2, name: 'Details' }), `details of ${name}`);
      if (name === 'Nodes' || name === 'Services') await shot(page, `one-${name.toLowerCase()}`);
      await page.goBack();
      await visible(first);
    }
    if (name === 'Events' || name === 'Nodes' || name === 'Services') await shot(page, `${name.toLowerCase()}-${ns || 'all'}`);
  }
}

step('the keyboard alone: palette, filter, rows');
await page.keyboard.press('Control+k');
await visible(page.getByRole('combobox', { name: /Go to/ }));
await page.keyboard.type('crashing');
await visible(page.getByRole('option', { name: /crashing/ }));
await shot(page, 'palette');
await page.keyboard.press('Enter');
await visible(page.getByRole('heading', { level: 1, name: 'crashing' }));
await page.goto(`${base}/console/p/shop/pods`);
await visible(row(page, 'crashing'));
await page.keyboard.press('/');
await page.keyboard.type('!web-');
await visible(page.getByText(/^2 of 5$/));
assert(page.url().includes('q='), 'the filter is not in the address');
for (let i = 0; i < 40 && !(await page.evaluate(() => document.activeElement.matches('a.name'))); i++) await page.keyboard.press('Tab');
await page.keyboard.press('ArrowDown');
assert.equal(await page.evaluate(() => document.activeElement.textContent), 'unknown-image');
await page.keyboard.press('Enter');
await visible(page.getByRole('heading', { level: 1, name: 'unknown-image' }));

step('a long table draws what is in sight, to its last row');
execFileSync('kubectl', ['create', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: Array.from({ length: 200 }, (_, i) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `many-${i}`, namespace: 'shop' } })) }) });
await page.goto(`${base}/console/p/shop/configmaps`);
await visible(page.getByText(/^20[0-9]$/));
assert(await page.getByRole('row').count() < 60, 'every row is drawn');
await page.getByRole('table').evaluate(t => { t.scrollTop = t.scrollHeight; });
await visible(row(page, 'many-199'));
assert.equal(await row(page, 'many-0').count(), 0);
kubectl('delete', 'configmap', '-n', 'shop', '--all', '--wait=false');
await visible(page.getByText(/^[0-9]$/));

step('accessibility rules hold, light, dark and on a phone; nothing sticks out at 320 pixels');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const pages = ['', 'p/shop', 'p/shop/pods', 'p/shop/pods/crashing', 'p/shop/pods/crashing/logs', 'p/shop/pods/crashing/events', 'p/shop/pods/crashing/yaml', 'all/deployments', 'cluster/nodes', 'all/events'];
for (const [size, colorScheme, viewport] of [['desktop', 'light', { width: 1280, height: 800 }], ['desktop', 'dark', { width: 1280, height: 800 }], ['phone', 'light', { width: 390, height: 844 }]]) {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize(viewport);
  for (const path of pages) {
    await page.goto(`${base}/console/${path}`);
    await visible(page.getByRole('heading', { level: 1 }));
    await page.waitForFunction(() => !document.querySelector('.loading'));
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    assert.deepEqual(found.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 160)).join(' | ')}`), [], `${colorScheme} ${size} /console/${path}`);
    await shot(page, `${size}-${colorScheme}-${path.replaceAll('/', '-') || 'root'}`);
    if (size === 'desktop') continue;
    await page.setViewportSize({ width: 320, height: 640 });
    assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `/console/${path} is wider than 320 pixels`);
    await page.setViewportSize(viewport);
  }
}
await page.getByRole('button', { name: 'Menu' }).click();
await visible(page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Jobs', exact: true }));
await page.waitForFunction(() => document.querySelector('nav.side').getBoundingClientRect().left === 0);
await shot(page, 'phone-menu');
await page.setViewportSize(desktop.viewport);
await page.emulateMedia({ colorScheme: 'light' });

step('a second tab is logged in by the first');
const second = await newTab(context);
await second.goto(`${base}/console/p/shop/pods`);
await visible(row(second, 'crashing'));

step('logging out ends every tab; a wrong token is told, a right one goes on');
await page.locator('.who summary').click();
await page.getByRole('button', { name: 'Log out' }).click();
await visible(page.getByRole('heading', { name: 'Log in' }));
await visible(second.getByRole('heading', { name: 'Log in' }));
await second.close();
await shot(page, 'login');
await page.setViewportSize({ width: 390, height: 844 });
await shot(page, 'phone-login');
await page.setViewportSize(desktop.viewport);
expected = /401/;
await page.getByLabel('Token').fill('not-a-token');
await page.getByRole('button', { name: 'Log in' }).click();
await visible(page.getByText('does not accept this token'));
await page.getByLabel('Token').fill(readFileSync(join(data, 'kubeconfig'), 'utf8'));
await page.getByRole('button', { name: 'Log in' }).click();
await visible(page.getByText('logs in with a client certificate'));
await page.getByLabel('Token').fill(verb('token'));
await page.getByLabel('Token').press('Enter');
await visible(page.getByRole('banner').getByText('kubernetes-admin'));
await page.locator('.who summary').click();
await page.getByRole('button', { name: 'Log out' }).click();

step('who may see one namespace sees that one, and is told kindly about the rest');
await page.goto(`${base}/console/`);
await page.getByLabel('Token').fill(kubectl('create', 'token', 'viewer', '-n', 'shop'));
await page.getByRole('button', { name: 'Log in' }).click();
await visible(page.getByText('You may not see what runs in all namespaces'));
await shot(page, 'forbidden');
await page.getByLabel('Namespace').fill('shop');
await page.getByLabel('Namespace').press('Enter');
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Pods' }).click();
await visible(row(page, 'crashing'));
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Secrets' }).click();
await visible(page.getByText('You may not see secrets in shop'));
await shot(page, 'forbidden-secrets');

step('a session that ends leads back to the login page, and afterwards to the same place');
kubectl('delete', 'serviceaccount', 'viewer', '-n', 'shop');
await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Services' }).click();
await visible(page.getByText('Your session has ended'));
await page.getByLabel('Token').fill(verb('token'));
await page.getByRole('button', { name: 'Log in' }).click();
await visible(page.getByRole('heading', { level: 1, name: 'Services' }));

await browser.close();
assert.deepEqual(bad, []);
console.log('browser: all steps passed');
