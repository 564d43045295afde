// The console's only build tool: installs what the lock file names, bundles, compresses, and writes the C++ table that goes into the binary.
//   node build.mjs --out assets.inc [--keep DIR] [--npm PATH]    DIR also receives the files as they are
//   node build.mjs --test [--npm PATH]                           types, then the unit tests
//   node build.mjs --install                                     only what tests in a browser need
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const kBudget = 100_000;   // bytes, compressed, of everything
const option = name => { const at = process.argv.indexOf(name); return at < 0 ? undefined : process.argv[at + 1] ?? ''; };
const die = text => { console.error(text); process.exit(1); };
const sha = bytes => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

// npm runs only when the lock file changed, or when the tests need more than the build did.
function install(wanted) {
  const marker = join(here, 'node_modules', '.installed');
  const lock = sha(readFileSync(join(here, 'package-lock.json')));
  const have = existsSync(marker) ? readFileSync(marker, 'utf8') : '';
  if (have === `${lock} all` || have === `${lock} ${wanted}`) return;
  const npm = spawnSync(option('--npm') || 'npm', ['ci', '--no-progress', '--loglevel=error', ...(wanted === 'all' ? [] : ['--omit=dev'])], { cwd: here, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  if (npm.status !== 0) {
    die(`console: npm ci failed in ${here}\n${(npm.error?.message ?? npm.stderr ?? '').trim().split('\n').filter(line => !/^npm error +at /.test(line)).slice(0, 6).join('\n')}\n` +
      'console: npm\'s registry must be reachable (a mirror: npm config set registry URL). To build without the console: cmake --preset NAME -DSKERRY_CONSOLE=OFF');
  }
  writeFileSync(marker, `${lock} ${wanted}`);
}

async function bundle() {
  const esbuild = await import('esbuild');
  const result = await esbuild.build({
    absWorkingDir: here, entryPoints: { console: 'src/main.tsx' }, bundle: true, write: false, format: 'esm', target: 'es2022', minify: true, charset: 'utf8',
    jsx: 'automatic', jsxImportSource: 'preact', outdir: 'assets', entryNames: '[name]-[hash]', legalComments: 'none', logLevel: 'warning',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return result.outputFiles.map(f => ({ path: `assets/${basename(f.path)}`, bytes: Buffer.from(f.contents) }));
}

// The notices that the licences of bundled packages ask for.
function licenses() {
  const packages = ['preact', '@preact/signals', '@preact/signals-core'];
  return packages.map(name => `${name}\n\n${readFileSync(join(here, 'node_modules', name, 'LICENSE'), 'utf8').trim()}\n`).join('\n\n');
}

const types = { js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', html: 'text/html; charset=utf-8', svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8' };
const quote = text => JSON.stringify(text);

function table(files) {
  const names = [];
  let out = '// Made by build.mjs.\n';
  for (const [i, f] of files.entries()) {
    const numbers = [...f.packed].map(b => b > 127 ? b - 256 : b);
    const lines = [];
    for (let at = 0; at < numbers.length; at += 40) lines.push(numbers.slice(at, at + 40).join(','));
    out += `constexpr char kFile${i}[] = {\n${lines.join(',\n')}};\n`;
    names.push(`  {${quote(f.path)}, ${quote(f.type)}, "${sha(f.bytes)}", std::string_view(kFile${i}, sizeof kFile${i})},`);
  }
  return `${out}constexpr Asset kAssets[] = {\n${names.join('\n')}\n};\n`;
}

async function main() {
  if (process.argv.includes('--install')) return install('all');
  if (process.argv.includes('--test')) return test();
  const out = option('--out') || die('usage: build.mjs --out FILE [--keep DIR] | --test');
  install('build');
  const files = await bundle();
  const named = ending => files.find(f => f.path.endsWith(ending)).path;
  const html = readFileSync(join(here, 'index.html'), 'utf8').replace('CONSOLE_CSS', `/console/${named('.css')}`).replace('CONSOLE_JS', `/console/${named('.js')}`);
  files.push({ path: 'index.html', bytes: Buffer.from(html) }, { path: 'favicon.svg', bytes: readFileSync(join(here, 'src/favicon.svg')) }, { path: 'licenses.txt', bytes: Buffer.from(licenses()) });
  files.sort((a, b) => a.path < b.path ? -1 : 1);
  for (const f of files) {
    f.type = types[f.path.split('.').pop()];
    f.packed = gzipSync(f.bytes, { level: 9 });
    f.packed[9] = 255;   // the header's operating system: the same bytes wherever it is built
  }
  const total = files.reduce((sum, f) => sum + f.packed.length, 0);
  for (const f of files) console.log(`console: ${f.path} ${f.bytes.length} bytes, ${f.packed.length} compressed`);
  console.log(`console: ${total} bytes compressed, of ${kBudget}`);
  if (total > kBudget) die('console: over its budget');
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, table(files));
  const keep = option('--keep');
  if (keep) for (const f of files) { mkdirSync(dirname(join(keep, f.path)), { recursive: true }); writeFileSync(join(keep, f.path), f.bytes); }
}

async function test() {
  install('all');
  const tsc = spawnSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', here], { stdio: 'inherit' });
  if (tsc.status !== 0) die('console: types do not fit');
  const esbuild = await import('esbuild');
  const dir = mkdtempSync(join(tmpdir(), 'skerry-console-'));
  const files = readdirSync(join(here, 'test')).filter(f => f.endsWith('.test.ts'));
  await esbuild.build({ absWorkingDir: here, entryPoints: files.map(f => `test/${f}`), bundle: true, outdir: dir, outExtension: { '.js': '.mjs' }, format: 'esm', platform: 'node', target: 'node18', jsx: 'automatic', jsxImportSource: 'preact', logLevel: 'warning' });
  const run = spawnSync(process.execPath, ['--test', ...files.map(f => join(dir, f.replace('.ts', '.mjs')))], { stdio: 'inherit' });
  rmSync(dir, { recursive: true, force: true });
  process.exitCode = run.status ?? 1;
}

// One at a time: builds of several configurations share node_modules.
if (process.env.SKERRY_CONSOLE_LOCKED) {
  await main();
} else {
  const locked = spawnSync('flock', [join(here, 'package-lock.json'), process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, SKERRY_CONSOLE_LOCKED: '1' } });
  if (locked.error) die(`console: flock (util-linux): ${locked.error.message}`);
  process.exitCode = locked.status ?? 1;
}
