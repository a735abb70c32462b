import { describe, expect, test } from 'vitest';
import { nearest } from '../../../src/common/nearest';
import { parseArguments } from '../../../src/cli/arguments';
import { defineCommand } from '../../../src/cli/command';
import { LoomweightError } from '../../../src/protocol/errors';

const command = defineCommand<unknown>({
  name: 'compress',
  summary: 'Test.',
  positionals: [{ name: 'MODEL', doc: 'A model.' }],
  options: [
    { name: 'out', kind: 'text', value: 'DIR', required: true, doc: 'Out.' },
    { name: 'override', kind: 'text', value: 'X', repeated: true, doc: 'Repeated.' },
    { name: 'format', kind: 'choice', value: 'NAME', choices: ['hf', 'onnx'], doc: 'Format.' },
    { name: 'head', kind: 'switch', doc: 'Switch.' },
    { name: 'symmetric', kind: 'parameter', doc: '', spec: { kind: 'boolean', key: 'symmetric', label: '', doc: '', default: false } },
    { name: 'bits', kind: 'parameter', doc: '', spec: { kind: 'integer', key: 'bits', label: '', doc: '', min: 1, max: 8, default: 4 } },
  ],
  examples: [],
  run: () => Promise.resolve(undefined),
  text: () => '',
});

const parse = (...argv: string[]) => parseArguments(command, argv);

function messageOf(...argv: string[]): string {
  try {
    parse(...argv);
  } catch (error) {
    expect(LoomweightError.is(error, 'invalid-argument')).toBe(true);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${argv.join(' ')}`);
}

describe('arguments', () => {
  test('a value can follow its flag or an equals sign', () => {
    expect(parse('m', '--out', 'a').text('out')).toBe('a');
    expect(parse('m', '--out=a=b').text('out')).toBe('a=b');
    expect(parse('--out', 'a', 'm').positionals).toEqual(['m']);
  });

  test('two dashes end the flags, one dash is a word', () => {
    expect(parse('--out', 'a', '--', '--strange').positionals).toEqual(['--strange']);
    expect(parse('--out', 'a', '-').positionals).toEqual(['-']);
  });

  test('switches take true, false and the negated form', () => {
    expect(parse('m', '--out', 'a', '--head').isOn('head')).toBe(true);
    expect(parse('m', '--out', 'a', '--head=false').isOn('head')).toBe(false);
    expect(parse('m', '--out', 'a', '--no-symmetric').text('symmetric')).toBe('false');
    expect(parse('m', '--out', 'a').isOn('head')).toBe(false);
    expect(messageOf('m', '--out', 'a', '--head=maybe')).toBe('--head is a switch: give it alone, or as --head=true or --head=false.');
  });

  test('repeatable flags keep their order', () => {
    expect(parse('m', '--out', 'a', '--override', 'x', '--override=y').texts('override')).toEqual(['x', 'y']);
  });

  test('shared options are parsed in their units', () => {
    expect(parse('m', '--out', 'a', '--threads', '2', '--max-memory', '3GB', '--seed=0', '--provider', 'cpu').shared).toEqual({
      provider: 'cpu',
      threads: 2,
      maxMemory: 3e9,
      seed: 0,
    });
    expect(parse('m', '--out', 'a').shared).toEqual({});
  });

  test.each([
    [['m', '--out', 'a', '--fromat', 'hf'], "'compress' has no flag --fromat. Did you mean '--format'? See 'loomweight compress --help'."],
    [['m', '--out', 'a', '--zzzzzz=1'], "'compress' has no flag --zzzzzz. See 'loomweight compress --help'."],
    [['m', '--out', 'a', '-v'], "'compress' has no flag -v. Did you mean '--verbose'? See 'loomweight compress --help'."],
    [['m', '--out', 'a', '--no-format'], "'compress' has no flag --no-format. Did you mean '--format'? See 'loomweight compress --help'."],
    [['m', '--out', 'a', '--out', 'b'], "--out is given twice, as 'a' and 'b'. Give it once."],
    [['m', '--out', 'a', '--head', '--no-head'], "--head is given twice, as 'true' and 'false'. Give it once."],
    [['m', '--out'], '--out needs a value: DIR.'],
    [['m', '--out', '--head'], '--out needs a value: DIR.'],
    [['m', '--out='], "--out must be DIR, got ''."],
    [['m', '--out', 'a', '--format', 'onx'], "--format must be one of hf, onnx, got 'onx'. Did you mean 'onnx'?"],
    [['m', '--out', 'a', '--threads', '0'], "--threads must be a whole number from 1 to 1024, got '0'."],
    [['m', '--out', 'a', '--threads', '1e2'], "--threads must be a whole number from 1 to 1024, got '1e2'."],
    [['m', '--out', 'a', '--max-memory', 'lots'], "--max-memory must be a size such as 3GB, 512MiB or a number of bytes, got 'lots'."],
    [['m', '--out', 'a', '--quiet', '--verbose'], '--quiet and --verbose cannot be combined. Give one of them.'],
    [['m'], "'compress' needs --out DIR. See 'loomweight compress --help'."],
    [['--out', 'a'], "'compress' needs MODEL: loomweight compress MODEL. See 'loomweight compress --help'."],
    [['m', 'n', '--out', 'a'], "'compress' takes loomweight compress MODEL, but got 'n' as well."],
    [['', '--out', 'a'], 'MODEL is empty.'],
  ])('%j is refused: %s', (argv, message) => {
    expect(messageOf(...argv)).toBe(message);
  });

  test('help needs no other arguments', () => {
    expect(parse('--help').isOn('help')).toBe(true);
    expect(parse('-h').isOn('help')).toBe(true);
  });
});

describe('nearest', () => {
  test.each([
    ['bist', ['bits', 'groupSize'], 'bits'],
    ['group_size', ['bits', 'groupSize'], 'groupSize'],
    ['evalaute', ['evaluate', 'inspect'], 'evaluate'],
    ['eval', ['evaluate', 'inspect'], 'evaluate'],
    ['quux', ['evaluate', 'inspect'], undefined],
    ['', ['a'], undefined],
    ['x'.repeat(1000), ['xxxx'], undefined],
  ])('of %s', (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected);
  });
});
