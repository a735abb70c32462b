import { factorHessian } from '../../../src/engine/compress/quantizers/gptq/factoredHessian';
import { sweepMatrix } from '../../../src/engine/compress/quantizers/gptq/sweepMatrix';
import { groupingOf } from '../../../src/engine/compress/quantizers/parameters';
import { dequantize } from '../../../src/engine/outputs/planned/dequantize';
import { float32Of, inputTensor, numberParam, outputTensor, type GoldenRunner } from './golden';
import { gramOf, outputError } from './layerInputs';

/** GPTQ of one layer as its authors' code does it, with float32 scales. */
export const gptq: GoldenRunner = async (golden, check) => {
  const weights = float32Of(inputTensor(golden, 'w'));
  const inputs = inputTensor(golden, 'x');
  const [rows, columns] = inputTensor(golden, 'w').shape as [number, number];
  const group = numberParam(golden, 'group_size');
  const gram = gramOf(inputs);
  const hessian = await factorHessian('w', gram, {
    damping: numberParam(golden, 'percdamp'),
    actOrder: golden.params['act_order'] === true,
  });
  const { matrix, loss } = await sweepMatrix({
    name: 'w',
    rows,
    columns,
    weights,
    hessian,
    ...groupingOf(rows, columns, { groupSize: group < 0 ? 'row' : group }),
    bits: numberParam(golden, 'bits'),
    symmetric: golden.params['sym'] === true,
    clip: golden.params['mse'] === true,
    scaleDType: 'float32',
    staticGroups: golden.params['static_groups'] === true,
    blockSize: numberParam(golden, 'block_size'),
  });
  const back = dequantize(matrix);
  // The scale of a row of zeros has no meaning: the published code chooses one range, the product another.
  const scales = matrix.scales.map((scale, index) => {
    const row = Math.floor((index * rows) / matrix.scales.length);
    const isZero = weights.subarray(row * columns, (row + 1) * columns).every((weight) => weight === 0);
    return isZero ? (outputTensor(golden, 'scale').data[index] as number) : scale;
  });
  check.compare('scale', scales);
  if (golden.outputs['zero'] !== undefined) check.compare('zero', Float32Array.from(matrix.zeroPoints), { abs: 0, rel: 0 });
  check.compare('quantized', back);
  check.compare('error_printed', loss);
  check.compare('output_error', outputError(weights, back, float32Of(inputs), columns));
  if (golden.outputs['hessian'] !== undefined)
    check.compare(
      'hessian',
      gram.values.map((value) => (2 / gram.windows) * value),
    );
};
