import { expect, test } from 'vitest';
import { findQuantizer } from '../../../src/engine/compress/quantizers/index';
import { defaultFormat } from '../../../src/protocol/defaultFormat';

test.each([
  ['loom-base', {}, [], 'onnx-fast'],
  ['model.safetensors', {}, [], 'hf'],
  ['MODEL.SAFETENSORS', { bits: 3 }, [], 'hf'],
  ['model.onnx', { bits: 3 }, [], 'onnx-packed'],
  ['loom-base', { groupSize: 'row' }, [], 'onnx-fast'],
  ['loom-base', { groupSize: 48 }, [], 'onnx-packed'],
  ['loom-base', {}, [{ glob: '*', parameters: { bits: 5 } }], 'onnx-packed'],
  ['loom-base', {}, [{ glob: '*', parameters: { bits: 8 } }], 'onnx-fast'],
])('%s with %j and overrides %j: %s', (model, parameters, overrides, format) => {
  expect(defaultFormat(model, findQuantizer('rtn')?.parameters ?? [], parameters, overrides).format).toBe(format);
});
