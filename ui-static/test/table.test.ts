import assert from 'node:assert/strict';
import test from 'node:test';
import { RowTable, compare, select, type Line } from '../src/data/table.ts';

const cols = [{ name: 'Name', type: 'string', format: 'name', priority: 0 }, { name: 'Status', type: 'string', format: '', priority: 0 }, { name: 'Restarts', type: 'integer', format: '', priority: 0 }];
const raw = (uid: string, name: string, status = 'Running', restarts: unknown = 0, extra: unknown[] = []) => [uid, 'default', name, '2026-11-21T10:00:00Z', '', name, status, restarts, ...extra];
function tableOf(...lines: Line[]): RowTable {
  const table = new RowTable(flush => flush());
  for (const line of lines) table.apply(line);
  return table;
}
const names = (table: RowTable) => [...table.rows.values()].map(r => r.name).sort();

test('rows carry what the columns say, then what was asked for', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'a', 'Pending', 3, [{ app: 'x' }])] });
  const row = table.rows.get('1')!;
  assert.equal(table.cell(row, 'Status'), 'Pending');
  assert.equal(table.cell(row, 'Nothing'), '');
  assert.deepEqual(row.extra, [{ app: 'x' }]);
  assert.equal(row.created, Date.UTC(2026, 10, 21, 10));
});

test('a first snapshot shows its rows as they come and is complete when the server says so', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'a')] });
  assert.deepEqual(names(table), ['a']);
  assert.equal(table.complete.value, false);
  table.apply({ t: 'S', rv: '7' });
  assert.equal(table.complete.value, true);
  assert.equal(table.revision, '7');
});

test('a later snapshot replaces the rows only when it is whole: the table is never empty in between', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'a'), raw('2', 'b')] }, { t: 'S', rv: '7' }, { t: 'reset', cols }, { t: 'U', rows: [raw('3', 'c')] });
  assert.deepEqual(names(table), ['a', 'b']);
  assert.equal(table.revision, '');           // half a snapshot is nothing to resume from
  table.apply({ t: 'S', rv: '9' });
  assert.deepEqual(names(table), ['c']);
});

test('a snapshot cut off in the middle is forgotten', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'a')] }, { t: 'S', rv: '7' }, { t: 'reset', cols }, { t: 'U', rows: [raw('3', 'c')] });
  table.interrupted();
  table.apply({ t: 'resume', cols });
  table.apply({ t: 'U', rows: [raw('2', 'b')] });
  assert.deepEqual(names(table), ['a', 'b']);
});

test('a change replaces its row, a deletion removes it, both also twice', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'a', 'Pending')] }, { t: 'S', rv: '1' }, { t: 'U', rows: [raw('1', 'a', 'Running')] }, { t: 'U', rows: [raw('1', 'a', 'Running')] });
  assert.equal(table.cell(table.rows.get('1')!, 'Status'), 'Running');
  table.apply({ t: 'D', uids: ['1', 'unknown'] });
  table.apply({ t: 'D', uids: ['1'] });
  assert.equal(table.rows.size, 0);
});

test('a refusal empties the table and is kept until the server speaks again', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'a')] }, { t: 'E', code: 403, reason: 'Forbidden', message: 'no' });
  assert.deepEqual(table.refusal.value, { code: 403, reason: 'Forbidden', message: 'no' });
  assert.equal(table.rows.size, 0);
  table.apply({ t: 'reset', cols });
  assert.equal(table.refusal.value, null);
});

test('many lines make one drawing', () => {
  const waiting: (() => void)[] = [];
  const table = new RowTable(flush => { waiting.push(flush); });
  table.apply({ t: 'reset', cols });
  for (let i = 0; i < 1000; i++) table.apply({ t: 'U', rows: [raw(String(i), `p${i}`)] });
  assert.equal(waiting.length, 1);
  waiting[0]!();
  assert.equal(table.version.value, 1);
  table.apply({ t: 'D', uids: ['1'] });
  assert.equal(waiting.length, 2);
});

test('filters take every word, leave out what ! names, and look into cells', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'web-1'), raw('2', 'web-2', 'Pending'), raw('3', 'api')] });
  const found = (q: string) => select(table, q, 'Name', false).map(r => r.name);
  assert.deepEqual(found('WEB'), ['web-1', 'web-2']);
  assert.deepEqual(found('web pend'), ['web-2']);
  assert.deepEqual(found('!web'), ['api']);
  assert.deepEqual(found('!'), ['api', 'web-1', 'web-2']);
  assert.deepEqual(found('absent'), []);
});

test('sorting knows numbers, numbers in names, ages, and both directions', () => {
  const table = tableOf({ t: 'reset', cols }, { t: 'U', rows: [raw('1', 'pod-10', 'Running', 2), raw('2', 'pod-2', 'Running', 10), raw('3', 'pod-1', 'Running', 0)] });
  table.rows.get('1')!.created += 60_000;
  const by = (column: string, down = false) => select(table, '', column, down).map(r => r.name);
  assert.deepEqual(by('Name'), ['pod-1', 'pod-2', 'pod-10']);
  assert.deepEqual(by('Name', true), ['pod-10', 'pod-2', 'pod-1']);
  assert.deepEqual(by('Restarts'), ['pod-1', 'pod-10', 'pod-2']);
  assert.equal(by('Age')[0], 'pod-10');       // the youngest
  assert.ok(compare('9', '10') < 0);
});
