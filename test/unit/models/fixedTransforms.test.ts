import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { fixedTransformOf } from '../../../src/engine/models/fixedTransforms';
import { propertySeed } from '../../support/propertySeed';

const windows: Readonly<Record<string, (place: number) => number>> = {
  none: () => 1,
  hann: (place) => 0.5 - 0.5 * Math.cos(2 * Math.PI * place),
  hamming: (place) => 0.54 - 0.46 * Math.cos(2 * Math.PI * place),
};

/** A Fourier basis by its definition: real parts, imaginary parts, or both. */
function fourier(bins: number, length: number, window: string, parts: 'real' | 'imaginary' | 'halves' | 'alternating'): Float32Array {
  const row = (bin: number, wave: (angle: number) => number) =>
    Array.from({ length }, (_, n) => windows[window]!(n / length) * wave((2 * Math.PI * bin * n) / length));
  const real = Array.from({ length: bins }, (_, bin) => row(bin, Math.cos));
  const imaginary = Array.from({ length: bins }, (_, bin) => row(bin, (angle) => -Math.sin(angle)));
  const rows = {
    real,
    imaginary,
    halves: [...real, ...imaginary],
    alternating: real.flatMap((each, bin) => [each, imaginary[bin] as number[]]),
  };
  return Float32Array.from(rows[parts].flat());
}

/** Triangles on the mel scale, with slopes of one area: the usual filter bank of speech models. */
function melBank(filters: number, bins: number, rate: number): Float32Array {
  const mel = (hertz: number) => 2595 * Math.log10(1 + hertz / 700);
  const hertz = (value: number) => 700 * (10 ** (value / 2595) - 1);
  const points = Array.from({ length: filters + 2 }, (_, index) => hertz((mel(rate / 2) * index) / (filters + 1)));
  const rows = Array.from({ length: filters }, (_, filter) => {
    const [low, centre, high] = points.slice(filter, filter + 3) as [number, number, number];
    return Array.from({ length: bins }, (_, bin) => {
      const at = (bin * rate) / 2 / (bins - 1);
      return Math.max(0, Math.min((at - low) / (centre - low), (high - at) / (high - centre))) * (2 / (high - low));
    });
  });
  return Float32Array.from(rows.flat());
}

describe('values of known transforms', () => {
  test('Fourier bases of any window and order of parts', () => {
    const given = fc.tuple(
      fc.integer({ min: 8, max: 40 }),
      fc.constantFrom(...Object.keys(windows)),
      fc.constantFrom('real', 'imaginary', 'halves', 'alternating'),
    );
    fc.assert(
      fc.property(given, ([bins, window, parts]) => {
        const length = 2 * (bins - 1) < 16 ? 16 : 2 * (bins - 1);
        const basis = fourier(bins, length, window, parts);
        expect(fixedTransformOf(basis, basis.length / length, length)).toBe('Fourier transform');
      }),
      { seed: propertySeed },
    );
  });

  test('mel filter banks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 80 }), fc.constantFrom(129, 201, 257), fc.constantFrom(8000, 16000), (filters, bins, rate) => {
        expect(fixedTransformOf(melBank(filters, bins, rate), filters, bins)).toBe('filter bank');
      }),
      { seed: propertySeed, numRuns: 40 },
    );
  });
});

describe('values of weights', () => {
  const random = (count: number, seed: number, made: (random: SeededRandom, index: number) => number) => {
    const numbers = new SeededRandom(seed);
    return Float32Array.from({ length: count }, (_, index) => made(numbers, index));
  };

  test.each([
    ['normal', (numbers: SeededRandom) => numbers.nextNormal()],
    ['not negative, half of them zero', (numbers: SeededRandom) => Math.max(0, numbers.nextNormal())],
    ['zero', () => 0],
    ['equal', () => 0.3],
    ['rows in arithmetic sequence', (_: SeededRandom, index: number) => index],
  ])('%s numbers are no transform', (title, made) => {
    for (const [rows, columns] of [
      [8, 16],
      [40, 64],
      [258, 256],
      [64, 16],
    ] as const) {
      const found = fixedTransformOf(random(rows * columns, 3, made), rows, columns);
      // A straight line is a wave of frequency 0: such a matrix is no trained weight either.
      if (title === 'equal' || title.startsWith('rows in')) expect([undefined, 'Fourier transform']).toContain(found);
      else expect(found).toBeUndefined();
    }
  });

  test('a Fourier basis that was trained further is a weight', () => {
    const basis = fourier(33, 64, 'hann', 'halves');
    const noise = random(basis.length, 5, (numbers) => 0.05 * numbers.nextNormal());
    expect(
      fixedTransformOf(
        basis.map((value, index) => value + (noise[index] as number)),
        66,
        64,
      ),
    ).toBeUndefined();
  });

  test('small kernels are weights, whatever their values', () => {
    expect(fixedTransformOf(fourier(4, 16, 'none', 'real'), 4, 16)).toBeUndefined();
    expect(fixedTransformOf(fourier(16, 8, 'none', 'real'), 16, 8)).toBeUndefined();
  });
});
