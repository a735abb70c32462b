import { axisOf, listOf, numberOf, textOf } from './attributes';
import { foldAxes, mapLines } from './axes';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

const reduce =
  (fold: (values: readonly number[]) => number): ReferenceKernel =>
  ([x, axesInput], context) => {
    const tensor = x as ReferenceTensor;
    const rank = tensor.shape.length;
    const given = listOf(context, 'axes') ?? (axesInput ? [...axesInput.data] : []);
    const none = given.length === 0 && numberOf(context, 'noop_with_empty_axes', 0) !== 0;
    const axes = none ? [] : given.length === 0 ? tensor.shape.map((_, axis) => axis) : given.map((axis) => axisOf(axis, rank));
    const kept = foldAxes(tensor, axes, fold);
    return [numberOf(context, 'keepdims', 1) !== 0 ? kept : { ...kept, shape: kept.shape.filter((_, axis) => !axes.includes(axis)) }];
  };

function logSumExp(values: readonly number[]): number {
  const largest = Math.max(...values);
  return largest + Math.log(total(values.map((value) => Math.exp(value - largest))));
}

const lines =
  (apply: (line: readonly number[], context: ReferenceContext) => readonly number[]): ReferenceKernel =>
  ([x], context) => {
    const tensor = x as ReferenceTensor;
    return [mapLines(tensor, axisOf(numberOf(context, 'axis', -1), tensor.shape.length), (line) => apply(line, context))];
  };

const cumSum: ReferenceKernel = ([x, axis], context) => {
  const tensor = x as ReferenceTensor;
  const reverse = numberOf(context, 'reverse', 0) !== 0;
  const exclusive = numberOf(context, 'exclusive', 0) !== 0;
  return [
    mapLines(tensor, axisOf((axis as ReferenceTensor).data[0] as number, tensor.shape.length), (line) =>
      line.map((_, place) => {
        const before = reverse ? line.slice(place + (exclusive ? 1 : 0)) : line.slice(0, place + (exclusive ? 0 : 1));
        return total(before);
      }),
    ),
  ];
};

const topK: ReferenceKernel = ([x, k], context) => {
  const tensor = x as ReferenceTensor;
  const axis = axisOf(numberOf(context, 'axis', -1), tensor.shape.length);
  const count = k?.data[0] ?? numberOf(context, 'k', 1);
  const sign = numberOf(context, 'largest', 1) !== 0 ? -1 : 1;
  const order = (line: readonly number[]): readonly number[] =>
    line
      .map((value, place) => ({ value, place }))
      .sort((a, b) => sign * (a.value - b.value) || a.place - b.place)
      .slice(0, count)
      .map(({ place }) => place);
  return [
    mapLines(tensor, axis, (line) => order(line).map((place) => line[place] as number)),
    { ...mapLines(tensor, axis, order), dtype: 'int64' },
  ];
};

const norm = (line: readonly number[], p: number): number =>
  p === 1 ? total(line.map(Math.abs)) : Math.sqrt(total(line.map((v) => v * v)));

/** Reference kernels of reductions and of operators along an axis. */
export const reductionKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':ReduceSum': reduce(total),
  ':ReduceMean': reduce((values) => total(values) / values.length),
  ':ReduceMax': reduce((values) => Math.max(...values)),
  ':ReduceMin': reduce((values) => Math.min(...values)),
  ':ReduceProd': reduce((values) => values.reduce((product, value) => product * value, 1)),
  ':ReduceL1': reduce((values) => norm(values, 1)),
  ':ReduceL2': reduce((values) => norm(values, 2)),
  ':ReduceSumSquare': reduce((values) => total(values.map((value) => value * value))),
  ':ReduceLogSum': reduce((values) => Math.log(total(values))),
  ':ReduceLogSumExp': reduce(logSumExp),
  ':Softmax': lines((line) => line.map((value) => Math.exp(value - logSumExp(line)))),
  ':LogSoftmax': lines((line) => line.map((value) => value - logSumExp(line))),
  ':CumSum': cumSum,
  ':TopK': topK,
  ':LpNormalization': lines((line, context) => {
    const length = norm(line, numberOf(context, 'p', 2));
    return line.map((value) => value / length);
  }),
  ':Einsum': (inputs, context) => [einsum(textOf(context, 'equation', ''), inputs as readonly ReferenceTensor[])],
};

/** Sum of products over every assignment of the letters; an ellipsis stands for further letters, aligned at the right. */
function einsum(equation: string, inputs: readonly ReferenceTensor[]): ReferenceTensor {
  const [left = '', right] = equation.replaceAll(' ', '').split('->');
  const hidden = left.split(',').map((term, index) => {
    const letters = term.replace('...', '');
    return term.includes('...') ? (inputs[index] as ReferenceTensor).shape.length - letters.length : 0;
  });
  const widest = Math.max(...hidden);
  const names = (count: number): string => '0123456789'.slice(widest - count, widest);
  const terms = left.split(',').map((term, index) => term.replace('...', names(hidden[index] as number)));
  const used = [...terms.join('')];
  const once = [...new Set(used)].filter((letter) => /[A-Za-z]/.test(letter) && used.filter((other) => other === letter).length === 1);
  const output =
    right === undefined ? (left.includes('...') ? names(widest) : '') + once.sort().join('') : right.replace('...', names(widest));
  const lengths = new Map<string, number>();
  terms.forEach((term, index) =>
    [...term].forEach((letter, axis) => {
      const length = (inputs[index] as ReferenceTensor).shape[axis] as number;
      lengths.set(letter, Math.max(length, lengths.get(letter) ?? 1));
    }),
  );
  const letters = [...output, ...[...lengths.keys()].filter((letter) => !output.includes(letter))];
  const shape = [...output].map((letter) => lengths.get(letter) as number);
  const data = new Float64Array(shape.reduce((product, length) => product * length, 1));
  const place = new Map<string, number>();
  const visit = (depth: number): void => {
    if (depth < letters.length) {
      const letter = letters[depth] as string;
      for (let index = 0; index < (lengths.get(letter) as number); index += 1) {
        place.set(letter, index);
        visit(depth + 1);
      }
      return;
    }
    const product = inputs.reduce((value, input, index) => {
      const position = [...(terms[index] as string)].reduce(
        (sum, letter, axis) => sum * (input.shape[axis] as number) + (input.shape[axis] === 1 ? 0 : (place.get(letter) as number)),
        0,
      );
      return value * (input.data[position] as number);
    }, 1);
    const at = [...output].reduce((sum, letter, axis) => sum * (shape[axis] as number) + (place.get(letter) as number), 0);
    data[at] = (data[at] as number) + product;
  };
  visit(0);
  return { dtype: (inputs[0] as ReferenceTensor).dtype, shape, data };
}
