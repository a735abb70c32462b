import { resolveParams } from '../../../src/common/params';
import { rtn as method } from '../../../src/engine/compress/quantizers/rtn';
import { float32Of, inputTensor, numberParam, type GoldenRunner } from './golden';

/** Round to nearest as the GPTQ authors' quantiser does it. */
export const rtn: GoldenRunner = (golden, check) => {
  const weights = float32Of(inputTensor(golden, 'w'));
  const [rows, columns] = inputTensor(golden, 'w').shape as [number, number];
  const group = numberParam(golden, 'group_size');
  const { values, problems } = resolveParams(method.parameters, {
    bits: numberParam(golden, 'bits'),
    symmetric: golden.params['sym'],
    groupSize: group < 0 ? 'row' : group,
    scales: 'float32',
  });
  if (problems.length > 0) throw new Error(problems.join(' '));
  const matrix = method.plan({ tensor: { name: 'w', role: 'linear', shape: [rows, columns] }, weights }, values);
  const groups = Math.ceil(columns / matrix.groupSize);
  const back = Float32Array.from(matrix.codes, (code, index) => {
    const at = Math.floor(index / columns) * groups + Math.floor((index % columns) / matrix.groupSize);
    return (code - (matrix.zeroPoints[at] as number)) * (matrix.scales[at] as number);
  });
  check.compare('scale', matrix.scales);
  check.compare('zero', Float32Array.from(matrix.zeroPoints), { abs: 0, rel: 0 });
  check.compare('quantized', back);
  check.compare('output_error', outputError(weights, back, float32Of(inputTensor(golden, 'x')), columns));
};

/** Squares of the outputs' differences, summed over outputs and averaged over activation rows, in float64. */
function outputError(weights: Float32Array, rounded: Float32Array, activations: Float32Array, columns: number): number {
  const rows = weights.length / columns;
  let sum = 0;
  for (let token = 0; token < activations.length; token += columns)
    for (let row = 0; row < rows; row += 1) {
      let difference = 0;
      for (let column = 0; column < columns; column += 1)
        difference +=
          ((rounded[row * columns + column] as number) - (weights[row * columns + column] as number)) *
          (activations[token + column] as number);
      sum += difference * difference;
    }
  return sum / (activations.length / columns);
}
