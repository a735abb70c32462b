import type { ParamSpec, ParamValues } from '../../../../common/params';
import { LoomweightError } from '../../../../protocol/errors';
import type { BitRange } from '../../../kernels/bitWidths';
import type { WeightMethodContext } from '../../contract';

/** Parameters of DiffQ as users give them. */
export const diffqParameters: readonly ParamSpec[] = [
  {
    key: 'groupSize',
    kind: 'integer-or-word',
    label: 'Group size',
    doc: 'Number of consecutive weights that share a width; tensor uses one width per tensor.',
    default: 8,
    min: 1,
    max: 65536,
    words: ['tensor'],
  },
  {
    key: 'minBits',
    kind: 'number',
    label: 'Smallest width',
    doc: 'Lower limit of the learned widths.',
    default: 2,
    min: 1,
    max: 14,
    unit: 'bits',
  },
  {
    key: 'maxBits',
    kind: 'number',
    label: 'Largest width',
    doc: 'Upper limit of the learned widths.',
    default: 15,
    min: 2,
    max: 15,
    unit: 'bits',
  },
  {
    key: 'initBits',
    kind: 'number',
    label: 'Initial width',
    doc: 'Initial width of every group; must be between the smallest and the largest.',
    default: 8,
    min: 1,
    max: 15,
    unit: 'bits',
  },
  {
    key: 'extraBits',
    kind: 'number',
    label: 'Extra bits',
    doc: 'Added to each learned width when weights are rounded and sizes are counted, but not to the noise.',
    default: 0,
    min: -4,
    max: 4,
    unit: 'bits',
  },
  {
    key: 'parametrisation',
    kind: 'choice',
    label: 'Parametrisation',
    doc: 'The quantity that the sigmoid of a logit interpolates: the width, or the logarithm of the noise.',
    default: 'bits',
    choices: ['bits', 'noise'],
  },
  {
    key: 'noise',
    kind: 'choice',
    label: 'Noise',
    doc: 'gaussian has a standard deviation of half a step; uniform spans one step.',
    default: 'gaussian',
    choices: ['gaussian', 'uniform'],
  },
  {
    key: 'settle',
    kind: 'number',
    label: 'Settling share',
    doc: 'Share of the steps, at the end, in which widths are frozen and weights are actually rounded, so that they settle on the grid. Not part of the paper; 0 disables it, as published.',
    default: 0.3,
    min: 0,
    max: 0.9,
  },
  {
    key: 'clipRange',
    kind: 'number',
    label: 'Range',
    doc: 'Clips the grid at this many standard deviations from the mean, so that outliers do not stretch it. Not part of the paper; 0 uses the smallest and largest weight, as published.',
    default: 3,
    min: 0,
    max: 20,
    unit: 'standard deviations',
  },
];

/** The parameters, read and checked against each other. */
export interface DiffqSettings {
  /** 0: one group for each tensor. */
  readonly groupSize: number;
  readonly range: BitRange;
  readonly initBits: number;
  readonly extraBits: number;
  readonly noise: 'gaussian' | 'uniform';
  readonly clipRange: number;
  /** First step with frozen widths; undefined if nothing settles. */
  readonly settleFrom?: number;
}

/** Reads parameters that `resolveParams` completed. Errors: `invalid-argument` where they contradict each other. */
export function diffqSettings(values: ParamValues, { steps }: Pick<WeightMethodContext, 'steps'>): DiffqSettings {
  const number = (key: string): number => Number(values[key]);
  const [minimum, maximum, initBits] = [number('minBits'), number('maxBits'), number('initBits')];
  if (!(minimum < initBits && initBits < maximum))
    throw new LoomweightError('invalid-argument', `DiffQ needs minBits < initBits < maxBits, got ${minimum}, ${initBits} and ${maximum}.`, {
      minBits: minimum,
      initBits,
      maxBits: maximum,
    });
  const settleFrom = Math.round(steps * (1 - number('settle')));
  return {
    groupSize: values['groupSize'] === 'tensor' ? 0 : number('groupSize'),
    range: { parametrisation: values['parametrisation'] === 'noise' ? 'noise' : 'bits', minimum, maximum },
    initBits,
    extraBits: number('extraBits'),
    noise: values['noise'] === 'uniform' ? 'uniform' : 'gaussian',
    clipRange: number('clipRange'),
    ...(settleFrom < steps && settleFrom > 0 ? { settleFrom } : {}),
  };
}
