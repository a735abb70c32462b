import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { float16ToNumber } from '../../../src/common/halfFloat';
import { SeededRandom } from '../../../src/common/random';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { encodeFromFloat32 } from '../../../src/engine/formats/decode';
import { elementTypeOf } from '../../../src/engine/graph/elementTypes';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { float, GraphBuilder, int, ints } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops';
import type { DType } from '../../../src/protocol/dtypes';
import type { OutputFormat } from '../../../src/protocol/jobs';
import { test } from '../../support/fixtures';
import { runModel } from '../../support/runGraph';
import { workContext } from '../../support/workContext';
import { plainOrt } from '../../support/ort';

const [inner, outer] = [64, 32];

function weight(build: GraphBuilder, name = 'w', scale = 0.1, dtype: DType = 'float32'): Value {
  const random = new SeededRandom(7);
  const values = Float32Array.from({ length: inner * outer }, () => scale * random.nextNormal());
  return build.constant({ kind: 'inline', dtype, shape: [inner, outer], bytes: encodeFromFloat32(dtype, values) }, name);
}

const cast = (build: GraphBuilder, value: Value, dtype: DType) => build.op('Cast', [value], { to: int(elementTypeOf(dtype)!) });
const input = (build: GraphBuilder, dtype: DType = 'float32') => build.input('x', { dtype, shape: [3, inner] });
const bytes = (build: GraphBuilder, dtype: DType, shape: readonly number[], values: readonly number[], name?: string) =>
  build.constant({ kind: 'inline', dtype, shape, bytes: Uint8Array.from(values, (value) => value & 255) }, name);

/** Models whose outputs are not ordinary numbers, or which are not fed ordinary numbers. */
const models: Readonly<Record<string, (build: GraphBuilder) => Value>> = {
  'masked logits': (build) =>
    build.op('Where', [
      bytes(
        build,
        'bool',
        [outer],
        Array.from({ length: outer }, (_, index) => index % 3 && 1),
      ),
      build.op('MatMul', [input(build), weight(build)]),
      build.float32(-Infinity),
    ]),
  'logarithms of negative numbers': (build) => build.op('Log', [build.op('MatMul', [input(build), weight(build)])]),
  'large outputs': (build) => build.op('Mul', [build.op('MatMul', [input(build), weight(build)]), build.float32(1e9)]),
  'half outputs': (build) =>
    build.op('Mul', [
      cast(build, build.op('MatMul', [input(build), weight(build)]), 'float16'),
      cast(build, build.float32(4000), 'float16'),
    ]),
  'a bool input': (build) => {
    const mask = build.input('mask', { dtype: 'bool', shape: [3, outer] });
    return build.op('Where', [mask, build.op('MatMul', [input(build), weight(build)]), build.float32(-1e9)]);
  },
  'a uint8 input': (build) => build.op('MatMul', [cast(build, input(build, 'uint8'), 'float32'), weight(build)]),
  'a float64 input': (build) => build.op('MatMul', [cast(build, input(build, 'float64'), 'float32'), weight(build)]),
  'double weights and inputs': (build) => build.op('MatMul', [input(build, 'float64'), weight(build, 'w', 0.1, 'float64')]),
  'half weights and inputs': (build) => build.op('MatMul', [input(build, 'float16'), weight(build, 'w', 0.1, 'float16')]),
  'classes as outputs': (build) => build.op('ArgMax', [build.op('MatMul', [input(build), weight(build)])], { axis: int(1) }),
  'random numbers': (build) => {
    const product = build.op('MatMul', [input(build), weight(build)]);
    return build.op('Add', [product, build.op('RandomNormal', [], { shape: ints([3, outer]), scale: float(5) })]);
  },
  'quantised activations': (build) => {
    const [scale, zero] = [build.float32(0.05), bytes(build, 'uint8', [], [128])];
    const around = (value: Value) => build.op('DequantizeLinear', [build.op('QuantizeLinear', [value, scale, zero]), scale, zero]);
    return around(build.op('Relu', [build.op('MatMul', [around(input(build)), weight(build)])]));
  },
  'stored codes beside the weight': (build) => {
    const random = new SeededRandom(3);
    const codes = bytes(
      build,
      'int8',
      [inner, inner],
      Array.from({ length: inner * inner }, () => random.nextBelow(255) - 127),
      'q',
    );
    const first = build.op('DequantizeLinear', [codes, build.float32(0.002), bytes(build, 'int8', [], [0])]);
    return build.op('MatMul', [build.op('MatMul', [input(build), first]), weight(build)]);
  },
};

function save(folder: string, make: (build: GraphBuilder) => Value): string {
  const build = new GraphBuilder(operators, 'model');
  build.output(make(build), 'y');
  const path = join(folder, 'model.onnx');
  writeFileSync(path, encodeModel(build.finish()));
  return path;
}

const formats: readonly OutputFormat[] = ['onnx', 'onnx-fast', 'onnx-packed', 'archive'];

describe.each(Object.keys(models))('a model with %s', (name) => {
  test.for(formats)('is compressed and run as a whole as %s', async (format, { folder, runtime }) => {
    const model = save(folder, models[name]!);
    const spec = { kind: 'compress', model, method: 'rtn', parameters: { bits: 8 }, format, out: join(folder, 'out') } as const;
    const report = await compressModel(spec, workContext(runtime));
    expect(report.verification).toMatchObject({ passed: true, verdict: 'passed', scope: 'whole' });
    expect(report.verification.checks.map((check) => check.name)).toEqual(
      expect.arrayContaining(['outputs-disabled', 'outputs-exact', 'outputs-default']),
    );
    expect(report.latency).toBeDefined();
  });

  test('is converted without a run: the bytes are the same', async ({ folder, runtime }) => {
    const model = save(folder, models[name]!);
    const spec = { kind: 'compress', model, method: 'none', parameters: {}, format: 'onnx', out: join(folder, 'out') } as const;
    const report = await compressModel(spec, workContext(runtime));
    expect(report.verification.checks.map((check) => [check.name, check.passed])).toEqual([
      ['bytes', true],
      ['graph', true],
      ['identical', true],
    ]);
    expect(report.latency).toBeUndefined();
  });
});

describe.each(['half weights and inputs', 'double weights and inputs'])('an archive of a model with %s', (name) => {
  test('becomes an ONNX model again, in the types that it had', async ({ folder, runtime }) => {
    const model = save(folder, models[name]!);
    const [archived, restored] = [join(folder, 'archived'), join(folder, 'restored')];
    const base = { kind: 'compress', parameters: {} } as const;
    await compressModel({ ...base, model, method: 'rtn', parameters: { bits: 8 }, format: 'archive', out: archived }, workContext(runtime));
    const report = await compressModel({ ...base, model: archived, method: 'none', format: 'onnx', out: restored }, workContext(runtime));
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    const dtype = name.startsWith('half') ? 'float16' : 'float64';
    const ones = { float16: new Uint16Array(3 * inner).fill(0x3c00), float64: new Float64Array(3 * inner).fill(1) }[dtype];
    const feeds = { x: new plainOrt.Tensor(dtype as 'float64', ones as Float64Array, [3, inner]) };
    const [before, after] = [await runModel(model, feeds), await runModel(join(restored, report.primary), feeds)];
    expect(after['y']!.dtype).toBe(dtype);
    const numbers = (values: ArrayLike<number>) => Array.from(values, (value) => (dtype === 'float16' ? float16ToNumber(value) : value));
    const [first, second] = [numbers(before['y']!.data as ArrayLike<number>), numbers(after['y']!.data as ArrayLike<number>)];
    // 64 weights of size 0.1 with errors of 8 bits: sums of the order of 1 differ by less than a tenth.
    first.forEach((value, index) => expect(Math.abs(second[index]! - value)).toBeLessThan(0.1));
  });
});
