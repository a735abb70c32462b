import { describe, expect, test } from 'vitest';
import { commandsOf } from '../../../src/cli/commands/index';
import { optionsOf } from '../../../src/cli/arguments';
import { stepKinds } from '../../../src/engine/jobs/index';
import { describeKind } from '../../../src/engine/jobs/stepKind';
import { filesUnder, readText } from '../../support/sourceTree';

describe.each(stepKinds.map((kind) => [kind.id, kind] as const))('the kind %s', (_, kind) => {
  const keys = kind.fields.map(({ key }) => key);

  test('has each field once, and rules only about its own fields', () => {
    expect(new Set(keys).size).toBe(keys.length);
    for (const rule of kind.rules ?? []) for (const key of [...rule.keys, ...('to' in rule ? [rule.to] : [])]) expect(keys).toContain(key);
    for (const { type } of kind.fields)
      if (type.kind === 'overrides' && type.pinnedBeside !== undefined) expect(keys).toContain(type.pinnedBeside);
    for (const { type } of kind.fields)
      if (type.kind === 'method' && type.default !== undefined) expect(kind.methods?.().map(({ id }) => id)).toContain(type.default);
  });

  test('writes a model only into a folder that one of its fields names', () => {
    const outputs = kind.fields.flatMap(({ type }) => (type.kind === 'output' ? [type] : []));
    expect(outputs.filter(({ file }) => file === undefined).length).toBe(kind.writesModel === true ? 1 : 0);
    // Anything else that is written is one file with its ending.
    expect(outputs.length).toBeLessThanOrEqual(1);
    for (const { file = '.x' } of outputs) expect(file).toMatch(/^\.\w+$/);
  });

  test('is plain data for forms', () => {
    expect(JSON.parse(JSON.stringify(describeKind(kind)))).toEqual(describeKind(kind));
  });
});

test('ids and commands differ, and so do the flags of each command', () => {
  const ids = stepKinds.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const commands = commandsOf(stepKinds);
  expect(new Set(commands.map(({ name }) => name)).size).toBe(commands.length);
  for (const command of commands) {
    const flags = optionsOf(command).map(({ name }) => name);
    expect(flags.filter((name, index) => flags.indexOf(name) !== index)).toEqual([]);
  }
});

test('no shared code and no menu checks the kind of a job, a step or a report', () => {
  const names = stepKinds.map(({ id }) => id).join('|');
  const branch = new RegExp(`kind\\)?\\s*[!=]==\\s*'(${names})'|case '(${names})'`);
  // The predicate for a compression serves the budget slider, which is a part of that kind; a registry may name its files.
  const own = new Set(['src/protocol/jobs.ts']);
  const shared = filesUnder('src', 'webview').filter(
    (path) => path.endsWith('.ts') && !own.has(path) && !path.startsWith('src/engine/jobs/') && !path.startsWith('src/engine/compress/'),
  );
  expect(shared.length).toBeGreaterThan(100);
  expect(shared.filter((path) => branch.test(readText(path)))).toEqual([]);
  const manifest = JSON.parse(readText('package.json')) as { contributes: { menus: Record<string, readonly { when?: string }[]> } };
  const clauses = Object.values(manifest.contributes.menus).flatMap((entries) => entries.flatMap(({ when }) => when ?? []));
  expect(clauses.filter((when) => new RegExp(`viewItem.*job.*\\b(${names})\\b`).test(when))).toEqual([]);
});
