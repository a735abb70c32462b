import { writeFileSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { findRuntimePackage, loadOrt, type Ort } from '../../../src/engine/runtime/loadOrt';
import { wrapOrtError } from '../../../src/engine/runtime/ortErrors';
import { createSession } from '../../../src/engine/runtime/session';
import { LoomweightError } from '../../../src/protocol/errors';

/** What CUDA needs of the engine, with ONNX Runtime's answers played by the test: no card is needed. */

const refused =
  'This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user.';

/** An ONNX Runtime whose sessions write a profile with the given nodes. `first` answers the first creation. */
function played(nodes: readonly (readonly [operator: string, provider: string])[], first?: string) {
  const asked: InferenceSession.SessionOptions[] = [];
  const ort = loadOrt(findRuntimePackage());
  const create = (_model: unknown, options: InferenceSession.SessionOptions): Promise<unknown> => {
    asked.push(options);
    if (asked.length === 1 && first !== undefined) return Promise.reject(new Error(first));
    return Promise.resolve({
      inputNames: [],
      outputNames: ['y'],
      outputMetadata: [{ name: 'y', isTensor: true, type: 'float32', shape: [1] }],
      run: () => Promise.resolve({ y: new ort.Tensor('float32', Float32Array.of(1), [1]) }),
      endProfiling: () => {
        const events = nodes.map(
          ([operator, provider], index) =>
            `{"cat" : "Node","dur" :5,"name" :"n${index}_kernel_time","args" : {"op_name" : "${operator}","provider" : "${provider}"}}`,
        );
        writeFileSync(`${options.profileFilePrefix}_now.json`, `[\n${events.join(',\n')}\n]`);
      },
      release: () => Promise.resolve(),
    });
  };
  return { ort: { ...ort, Tensor: ort.Tensor, InferenceSession: { create } } as unknown as Ort, asked };
}

const source = { name: 'step', model: new Uint8Array() };

test('a graph that is completely on the GPU runs without a profile and without fallback', async () => {
  const { ort, asked } = played([]);
  const told: unknown[] = [];
  const session = await createSession({ ort, provider: 'cuda', threads: 1, onFallback: (...words) => told.push(words) }, source);
  await session.run({});
  await session.release();
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({ executionProviders: ['cuda'], extra: { session: { disable_cpu_ep_fallback: '1' } } });
  expect(asked[0]?.enableProfiling).toBeUndefined();
  expect(told).toEqual([]);
});

test('operators that fell back are named after the first run, once', async () => {
  const { ort, asked } = played(
    [
      ['Shape', 'CPUExecutionProvider'],
      ['MatMul', 'CUDAExecutionProvider'],
      ['GroupQueryAttention', 'CPUExecutionProvider'],
    ],
    refused,
  );
  const told: unknown[] = [];
  const session = await createSession({ ort, provider: 'cuda', threads: 1, onFallback: (...words) => told.push(words) }, source);
  await session.run({});
  await session.run({});
  await session.release();
  expect(asked).toHaveLength(2);
  expect(asked[1]?.extra?.['session']).not.toHaveProperty('disable_cpu_ep_fallback');
  expect(told).toEqual([['step', ['GroupQueryAttention', 'Shape']]]);
});

test('a strict session refuses fallback, and other failures are not mistaken for it', async () => {
  const strict = createSession({ ort: played([], refused).ort, provider: 'cuda', threads: 1, strict: true }, source);
  await expect(strict).rejects.toThrow(/fallback to CPU EP/);
  const { ort, asked } = played([], 'CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; file=y ; line=1 ; expr=cudaMalloc(&p, size);');
  await expect(createSession({ ort, provider: 'cuda', threads: 1 }, source)).rejects.toMatchObject({ code: 'insufficient-memory' });
  expect(asked).toHaveLength(1);
});

/** As ONNX Runtime 1.30 words it. */
const cudaText = (failure: string, call: string) =>
  '/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, onnxruntime::common::Status> ' +
  'onnxruntime::CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; bool THRW = true] ' +
  `${failure} ; GPU=-1 ; hostname=somebody ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=352 ; expr=${call}; \n\n`;

test.each([
  ['CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version', 'unsupported', 'update the driver'],
  ['CUDA failure 100: no CUDA-capable device is detected', 'unsupported', 'CUDA_VISIBLE_DEVICES'],
  ['CUDA failure 209: no kernel image is available for execution on the device', 'unsupported', 'architecture of this GPU'],
  ['CUDA failure 700: an illegal memory access was encountered', 'runtime', 'run the job again'],
  ['CUDA failure 2: out of memory', 'insufficient-memory', 'Close other programs'],
  ['CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED', 'insufficient-memory', 'use the GPU'],
] as const)('%s: says what to do, without source lines or the name of the machine', (failure, code, advice) => {
  const error = wrapOrtError(new Error(cudaText(failure, 'cudaSetDevice(info_.device_id)')), {
    model: 'probe',
    action: 'create',
    provider: 'cuda',
  });
  expect(error).toBeInstanceOf(LoomweightError);
  expect(error.code).toBe(code);
  expect(error.message).toContain(`could not load 'probe': ${failure} (cudaSetDevice(info_.device_id)).`);
  expect(error.message).toContain(advice);
  expect(error.message).not.toMatch(/hostname|somebody|onnxruntime_src/);
});

test('the message names the node that failed on the GPU', () => {
  const text = `Non-zero status code returned while running Conv node. Name:'conv1' Status Message: ${cudaText('CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED', 'cudnnFind()')}`;
  const error = wrapOrtError(new Error(text), { model: 'net', action: 'run', provider: 'cuda', feeds: 'x float32 [1]' });
  expect(error.code).toBe('insufficient-memory');
  expect(error.message).toContain("at node 'conv1' (Conv)");
  expect(error.message).toContain('Inputs: x float32 [1].');
});

test('NVIDIA libraries compute float32 as float32, unless the user chose otherwise', () => {
  const before = process.env['NVIDIA_TF32_OVERRIDE'];
  try {
    delete process.env['NVIDIA_TF32_OVERRIDE'];
    loadOrt(findRuntimePackage());
    expect(process.env['NVIDIA_TF32_OVERRIDE']).toBe('0');
    process.env['NVIDIA_TF32_OVERRIDE'] = '1';
    loadOrt(findRuntimePackage());
    expect(process.env['NVIDIA_TF32_OVERRIDE']).toBe('1');
  } finally {
    if (before === undefined) delete process.env['NVIDIA_TF32_OVERRIDE'];
    else process.env['NVIDIA_TF32_OVERRIDE'] = before;
  }
});
