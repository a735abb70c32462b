import { floatDTypes, type DType } from '../../../protocol/dtypes';
import { dtypeOfElementType } from '../../graph/elementTypes';
import type { Fold, FoldContext } from '../../graph/passes/folding';
import { broadcastShapes } from '../../graph/shapes';
import { requiredInt } from '../inference';
import { broadcastPlaces, readHost, take, writeHost, type HostTensor } from './hostTensor';
import { single, type FoldEntry } from './foldEntry';

/** Element-wise operators on known values. Integers are exact; float32 results are those of float32 arithmetic. */

interface Arithmetic {
  real(a: number, b: number): number;
  /** Integer arithmetic: undefined if there is no result (division by 0), so that the node is kept. */
  whole(a: bigint, b: bigint): bigint | undefined;
}

/** All inputs, known and broadcast to one shape; undefined if one is not known. */
function broadcastInputs({ node, valueOf }: FoldContext): readonly HostTensor[] | undefined {
  const inputs: HostTensor[] = [];
  for (let index = 0; index < node.inputs.length; index += 1) {
    const tensor = readHost(valueOf(index));
    if (tensor === undefined) return undefined;
    inputs.push(tensor);
  }
  const shape = broadcastShapes(...inputs.map((tensor) => tensor.shape)) as readonly number[];
  return inputs.map((tensor) => take(tensor, broadcastPlaces(tensor.shape, shape), shape));
}

function combine(a: HostTensor, b: HostTensor, { real, whole }: Arithmetic): HostTensor | undefined {
  const isFloat = floatDTypes.includes(a.dtype);
  if (a.data instanceof BigInt64Array && b.data instanceof BigInt64Array) {
    const data = new BigInt64Array(a.data.length);
    for (const [at, value] of a.data.entries()) {
      const result = whole(value, b.data[at] as bigint);
      if (result === undefined) return undefined;
      data[at] = result;
    }
    return { ...a, data };
  }
  if (a.data instanceof BigInt64Array || b.data instanceof BigInt64Array) return undefined;
  const other = b.data;
  const data = a.data.map((value, at) =>
    isFloat ? real(value, other[at] as number) : Number(whole(BigInt(value), BigInt(other[at] as number)) ?? NaN),
  );
  if (!isFloat && data.some((value) => !Number.isSafeInteger(value))) return undefined;
  return rounded({ ...a, data });
}

/** Rounds to the precision of the type, so that the next step starts from the stored value. */
function rounded(tensor: HostTensor): HostTensor | undefined {
  return readHost(writeHost(tensor));
}

const binary =
  (arithmetic: Arithmetic): Fold =>
  (context) => {
    const inputs = broadcastInputs(context);
    const [first, ...rest] = inputs ?? [];
    if (first === undefined) return undefined;
    return single(rest.reduce<HostTensor | undefined>((result, next) => result && combine(result, next, arithmetic), first));
  };

const unary =
  (real: (x: number) => number, whole?: (x: bigint) => bigint): Fold =>
  ({ valueOf }) => {
    const x = readHost(valueOf(0));
    if (x === undefined) return undefined;
    if (x.data instanceof BigInt64Array) return whole && single({ ...x, data: x.data.map(whole) });
    return single(rounded({ ...x, data: x.data.map(real) }));
  };

/** Results of type bool. */
const comparison =
  (holds: (a: number | bigint, b: number | bigint) => boolean): Fold =>
  (context) => {
    const [a, b] = broadcastInputs(context) ?? [];
    if (a === undefined || b === undefined) return undefined;
    const data = Float64Array.from(a.data as ArrayLike<number | bigint>, (value, at) =>
      holds(value, b.data[at] as number | bigint) ? 1 : 0,
    );
    return single({ dtype: 'bool', shape: a.shape, data });
  };

const truth = (holds: (a: boolean, b: boolean) => boolean): Fold => comparison((a, b) => holds(Boolean(a), Boolean(b)));

/** Python's remainder takes the sign of the divisor; with `fmod`, that of the dividend. */
const mod: Fold = (context) => {
  const attribute = context.node.attributes['fmod'];
  const truncated = attribute?.kind === 'int' && attribute.value !== 0;
  return binary({
    real: (a, b) => (truncated ? a % b : a - Math.floor(a / b) * b),
    whole: (a, b) => {
      if (b === 0n) return undefined;
      const rest = a % b;
      return truncated || rest === 0n || rest < 0n === b < 0n ? rest : rest + b;
    },
  })(context);
};

const where: Fold = (context) => {
  const [condition, x, y] = broadcastInputs(context) ?? [];
  if (condition === undefined || x === undefined || y === undefined) return undefined;
  const choose = (at: number) => (Number(condition.data[at]) !== 0 ? x : y).data[at];
  if (x.data instanceof BigInt64Array) return single({ ...x, data: x.data.map((_, at) => choose(at) as bigint) });
  return single({ ...x, data: x.data.map((_, at) => choose(at) as number) });
};

const clip: Fold = ({ node, valueOf }) => {
  const x = readHost(valueOf(0));
  if (x === undefined) return undefined;
  let result: HostTensor | undefined = x;
  for (const [index, pick] of [[1, extremes.max] as const, [2, extremes.min] as const]) {
    if (!node.inputs[index]) continue;
    const limit = readHost(valueOf(index));
    if (limit === undefined || result === undefined) return undefined;
    result = combine(result, take(limit, new Int32Array(x.data.length), x.shape), pick);
  }
  return single(result);
};

/**
 * From floats to integers rounds towards zero, as everywhere; a value out of range is left to the runtime, since processors differ there.
 */
export function castTo(x: HostTensor, dtype: DType): HostTensor | undefined {
  const toFloat = floatDTypes.includes(dtype);
  const values = Array.from(x.data as ArrayLike<number | bigint>);
  if (dtype === 'bool') return { ...x, dtype, data: Float64Array.from(values, (value) => (Number(value) === 0 ? 0 : 1)) };
  if (dtype === 'int64') {
    if (values.some((value) => typeof value === 'number' && !(Math.abs(value) < 2 ** 63))) return undefined;
    return { ...x, dtype, data: BigInt64Array.from(values, (value) => (typeof value === 'bigint' ? value : BigInt(Math.trunc(value)))) };
  }
  const data = Float64Array.from(values, (value) => (toFloat ? Number(value) : Math.trunc(Number(value))));
  const result = rounded({ ...x, dtype, data });
  const fits = toFloat || result?.data.every((value, at) => value === data[at]) === true;
  return fits ? result : undefined;
}

const cast: Fold = ({ node, types, valueOf }) => {
  const dtype = dtypeOfElementType(requiredInt(node, 'to'));
  if (dtype !== undefined && dtype === types[0]?.dtype) return [{ kind: 'same', input: 0 }];
  const x = readHost(valueOf(0));
  return x && dtype && single(castTo(x, dtype));
};

const castLike: Fold = ({ types, valueOf }) => {
  const dtype = types[1]?.dtype;
  if (dtype !== undefined && dtype === types[0]?.dtype) return [{ kind: 'same', input: 0 }];
  const x = readHost(valueOf(0));
  return x && dtype && single(castTo(x, dtype));
};

const extremes = {
  min: { real: Math.min, whole: (a: bigint, b: bigint) => (a < b ? a : b) },
  max: { real: Math.max, whole: (a: bigint, b: bigint) => (a > b ? a : b) },
};
const add: Arithmetic = { real: (a, b) => a + b, whole: (a, b) => a + b };

/** Half to even, as in ONNX; a value rounded to zero keeps its sign. */
const roundEven = (x: number): number => {
  const floor = Math.floor(x);
  const rest = x - floor;
  const result = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  return result === 0 ? x * 0 : result;
};

const absolute = (x: bigint) => (x < 0n ? -x : x);

/** Element-wise foldings. */
export const arithmeticFoldings: readonly FoldEntry[] = [
  ['Add', binary(add)],
  ['Sum', binary(add)],
  ['Sub', binary({ real: (a, b) => a - b, whole: (a, b) => a - b })],
  ['Mul', binary({ real: (a, b) => a * b, whole: (a, b) => a * b })],
  ['Div', binary({ real: (a, b) => a / b, whole: (a, b) => (b === 0n ? undefined : a / b) })],
  ['Mod', mod],
  [
    'Pow',
    ({ types, ...rest }) =>
      types[0]?.dtype === types[1]?.dtype
        ? binary({ real: Math.pow, whole: (a, b) => (b < 0n || b > 64n ? undefined : a ** b) })({ types, ...rest })
        : undefined,
  ],
  ['Min', binary(extremes.min)],
  ['Max', binary(extremes.max)],
  ['Clip', clip],
  [
    'Neg',
    unary(
      (x) => -x,
      (x) => -x,
    ),
  ],
  ['Abs', unary(Math.abs, absolute)],
  ['Sign', unary(Math.sign, (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n))],
  ['Floor', unary(Math.floor)],
  ['Ceil', unary(Math.ceil)],
  ['Round', unary(roundEven)],
  ['Sqrt', unary(Math.sqrt)],
  ['Reciprocal', unary((x) => 1 / x)],
  ['Exp', unary(Math.exp)],
  ['Log', unary(Math.log)],
  ['Sin', unary(Math.sin)],
  ['Cos', unary(Math.cos)],
  ['Not', unary((x) => (x === 0 ? 1 : 0))],
  ['Equal', comparison((a, b) => a === b)],
  ['Less', comparison((a, b) => a < b)],
  ['LessOrEqual', comparison((a, b) => a <= b)],
  ['Greater', comparison((a, b) => a > b)],
  ['GreaterOrEqual', comparison((a, b) => a >= b)],
  ['And', truth((a, b) => a && b)],
  ['Or', truth((a, b) => a || b)],
  ['Xor', truth((a, b) => a !== b)],
  ['Where', where],
  ['Cast', cast],
  ['CastLike', castLike],
];
