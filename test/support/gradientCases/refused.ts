/**
 * Operators through which differentiation is refused with an error, and why. An operator is listed here, or has a row in a family of gradient cases, or
 * its outputs do not change smoothly ('none').
 */
export const refusedOperators: Readonly<Record<string, string>> = {
  ':BitCast': 'other bits are other numbers: no slope',
  ':Range': 'its length depends on its inputs',
  ':Unique': 'the number of values depends on the values',
  ':DynamicQuantizeLinear':
    'its scale follows the extremes and its codes are rounded: write the scale with ReduceMax where it is to be learned',
  'com.microsoft:DynamicQuantizeMatMul': 'rounds its float input',
  'com.microsoft:MatMulIntegerToFloat': 'a product of codes, for inference',
  'com.microsoft:GatherBlockQuantized': 'rows of codes, for inference',
  ':Scatter': 'was replaced by ScatterElements in opset 11',
  ':ConvInteger': 'a product of codes, for inference',
  ':GRU': 'a loop inside: write the steps out to train it',
  ':LSTM': 'a loop inside: write the steps out to train it',
  ':RNN': 'a loop inside: write the steps out to train it',
  ':If': 'differentiation stops at bodies',
  ':Loop': 'differentiation stops at bodies',
  ':Scan': 'differentiation stops at bodies',
};
