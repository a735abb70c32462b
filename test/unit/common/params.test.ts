import { expect, test } from 'vitest';
import { flagOf, resolveParams, type ParamSpec } from '../../../src/common/params';

const specs: readonly ParamSpec[] = [
  { kind: 'integer', key: 'bits', label: 'Bits', doc: 'Bits of a code.', default: 4, min: 1, max: 8 },
  {
    kind: 'integer-or-word',
    key: 'groupSize',
    label: 'Group',
    doc: 'Weights in a group.',
    default: 32,
    min: 1,
    max: 65536,
    words: ['row', 'tensor'],
  },
  { kind: 'boolean', key: 'symmetric', label: 'Symmetric', doc: 'No zero points.', default: false },
  { kind: 'choice', key: 'scale', label: 'Scale', doc: 'Type of scales.', default: 'float16', choices: ['float16', 'float32'] },
];

test('defaults fill in missing values', () => {
  expect(resolveParams(specs, { bits: '3' })).toEqual({
    values: { bits: 3, groupSize: 32, symmetric: false, scale: 'float16' },
    problems: [],
  });
});

test.each([
  [{ bits: 9 }, 'bits must be a whole number from 1 to 8, got 9.'],
  [{ bits: 2.5 }, 'bits must be a whole number from 1 to 8, got 2.5.'],
  [{ bits: '' }, 'bits must be a whole number from 1 to 8, got "".'],
  [{ groupSize: 'column' }, 'groupSize must be a whole number from 1 to 65536, or row or tensor, got "column".'],
  [{ symmetric: 'yes' }, 'symmetric must be true or false, got "yes".'],
  [{ scale: 'float8' }, 'scale must be one of float16, float32, got "float8".'],
  [{ bit: 4 }, 'Unknown parameter bit; the parameters are: bits, groupSize, symmetric, scale.'],
])('%j is refused', (given, problem) => {
  expect(resolveParams(specs, given).problems).toEqual([problem]);
});

test('flags are kebab-case', () => expect(specs.map(flagOf)).toEqual(['--bits', '--group-size', '--symmetric', '--scale']));
