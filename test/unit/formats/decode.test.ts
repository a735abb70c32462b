import { expect, test } from 'vitest';
import { decodeToFloat32 } from '../../../src/engine/formats/decode';
import { CodeCounter } from '../../../src/engine/kernels/host/countCodes';

test('values are decoded from a Buffer that starts at an odd byte, as one read from a file may', () => {
  const values = Float32Array.of(1.5, -2, 3e-5);
  const bytes = Buffer.concat([Buffer.of(0), Buffer.from(values.buffer)]).subarray(1);
  expect(bytes.byteOffset % 2).toBe(1);
  expect(decodeToFloat32('float32', bytes)).toEqual(values);
  const halves = Buffer.concat([Buffer.of(0), Buffer.from(Uint16Array.of(0x3c00, 0xc000).buffer)]).subarray(1);
  expect([...decodeToFloat32('float16', halves)]).toEqual([1, -2]);
  const counter = new CodeCounter(65536);
  counter.add(halves);
  expect(counter.counts()[0x3c00]).toBe(1);
});
