import { resolveParams } from '../../../src/common/params';
import { rtn as method } from '../../../src/engine/compress/quantizers/rtn';
import { float32Of, inputTensor, numberParam, type GoldenRunner } from './golden';
import { outputError } from './layerInputs';

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
