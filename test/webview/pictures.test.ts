import { describe, expect, test } from 'vitest';
import { heatmapColours, levelValue, paintLevels } from '../../webview/charts/colours';
import { clampRegion, panRegion, wholeElements, wholeRegion, zoomRegion } from '../../webview/charts/viewRegion';

const channels = (colour: number) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255, colour >>> 24];

describe('colour tables', () => {
  test('zero has the middle colour, equal magnitudes are equally strong on both sides, non-finite cells are distinct', () => {
    const table = heatmapColours(-2, 2, true);
    expect(levelValue(128, -2, 2)).toBe(0);
    expect(channels(table[128] ?? 0)).toEqual([24, 24, 28, 255]);
    expect(channels(table[1] ?? 0)).toEqual([33, 113, 222, 255]);
    expect(channels(table[255] ?? 0)).toEqual([232, 119, 22, 255]);
    expect(channels(table[0] ?? 0)).toEqual([214, 51, 160, 255]);
  });

  test('a lopsided range keeps small values weak', () => {
    const table = heatmapColours(-0.01, 1, false);
    const [red = 0] = channels(table[1] ?? 0);
    expect(red).toBeGreaterThan(220); // -0.01 of 1 is nearly the light middle, not full blue
  });

  test('levels become pixels', () => {
    const pixels = new Uint32Array(3);
    paintLevels(
      Uint8Array.from([0, 5, 255]),
      Uint32Array.from({ length: 256 }, (_, index) => index * 3),
      pixels,
    );
    expect([...pixels]).toEqual([0, 15, 765]);
  });

  test('a constant tensor has one colour and no NaN', () => {
    expect(new Set(heatmapColours(0, 0, true).subarray(1)).size).toBe(1);
  });
});

describe('zooming and panning', () => {
  test('zooming about a point keeps that point in place', () => {
    const zoomed = zoomRegion(wholeRegion(100, 200), 0.5, { x: 0.25, y: 1 });
    expect(zoomed).toEqual({ row: 50, column: 25, rows: 50, columns: 100 });
    expect(zoomed.column + 0.25 * zoomed.columns).toBe(50);
  });

  test('regions never leave the matrix nor shrink below four elements', () => {
    expect(clampRegion({ row: -5, column: 190, rows: 1, columns: 50 }, 100, 200)).toEqual({ row: 0, column: 150, rows: 4, columns: 50 });
    expect(clampRegion(zoomRegion(wholeRegion(1, 8), 4, { x: 0.5, y: 0.5 }), 1, 8)).toEqual(wholeRegion(1, 8));
  });

  test('panning moves by fractions of the visible region', () => {
    expect(panRegion({ row: 10, column: 10, rows: 20, columns: 40 }, 0.5, -0.25)).toEqual({ row: 5, column: 30, rows: 20, columns: 40 });
  });

  test('whole elements cover the region', () => {
    expect(wholeElements({ row: 1.2, column: 0, rows: 3.1, columns: 8 }, 5, 8)).toEqual({ row: 1, column: 0, rows: 4, columns: 8 });
  });
});
