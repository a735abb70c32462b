import { sweepPruned } from '../../../src/engine/compress/pruners/sweepPruned';
import { factorHessian } from '../../../src/engine/compress/quantizers/gptq/factoredHessian';
import { groupingOf } from '../../../src/engine/compress/quantizers/parameters';
import { dequantizePlanned } from '../../../src/engine/outputs/planned/dequantize';
import { float32Of, inputTensor, numberParam, type GoldenRunner } from './golden';
import { gramOf, outputError } from './layerInputs';
import { wanted } from './pruning';

/** SparseGPT of one layer as its authors' code does it, with float32 scales. */
export const sparsegpt: GoldenRunner = async (golden, check) => {
  const weights = float32Of(inputTensor(golden, 'w'));
  const [rows, columns] = inputTensor(golden, 'w').shape as [number, number];
  const inputs = inputTensor(golden, 'x');
  const bits = numberParam(golden, 'bits');
  const grouping = groupingOf(rows, columns, { groupSize: 'row' });
  const { tensor, loss } = await sweepPruned({
    tensor: { name: 'w', role: 'linear', shape: [rows, columns] },
    weights,
    hessian: await factorHessian('w', gramOf(inputs), { damping: numberParam(golden, 'percdamp'), actOrder: false }),
    sparsity: wanted(golden),
    blockSize: numberParam(golden, 'block_size'),
    ...(bits > 0 ? { rounding: { bits, symmetric: golden.params['sym'] === true, scaleDType: 'float32', ...grouping } } : {}),
  });
  const back = dequantizePlanned(tensor);
  check.compare('pruned', back);
  check.compare('error_printed', loss);
  check.compare(
    'zeros',
    back.reduce((count, weight) => count + (weight === 0 ? 1 : 0), 0),
  );
  check.compare('output_error', outputError(weights, back, float32Of(inputs), columns));
  if (golden.outputs['scale'] !== undefined) check.compare('scale', tensor.quantized?.scales ?? []);
  if (golden.outputs['zero'] !== undefined) check.compare('zero', Float32Array.from(tensor.quantized?.zeroPoints ?? []));
};
