import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import type { Runtime } from '../../../src/engine/runtime/types';
import type { EvaluateSpec } from '../../../src/protocol/jobs';
import type { CompressReport, EvaluateReport } from '../../../src/protocol/report';
import type { CheckedProvider, PartRequest, PartEnd } from '../document';
import { measureShares, quietContext, runtimeFor } from '../runtimeFor';

/** Losses of whole models: float32 sums in another order through a few layers. */
const lossTolerance = 1e-4;
/** `onnx-fast` on a provider that rounds activations otherwise. */
const window = 256;

/** Perplexity of the small language model, with tokens per second. */
export async function runPerplexity(request: PartRequest): Promise<PartEnd> {
  const spec = textSpec(request, path.join(request.folder, 'models', 'loom-base'), request.short ? 4 : undefined);
  return { ...(await evaluateOnBoth(request, spec)), window };
}

const textSpec = ({ folder }: PartRequest, model: string, limit: number | undefined): EvaluateSpec => ({
  kind: 'evaluate',
  model,
  text: path.join(folder, 'models', 'books.txt'),
  window,
  ...(limit === undefined ? {} : { limit }),
});

/** Round to nearest with 4 bits into the fused format: weights per second, the same file as on the CPU, and the file's own perplexity on both. */
export async function runRounding(request: PartRequest): Promise<PartEnd> {
  const reports = new Map<CheckedProvider, CompressReport>();
  const compress = async (provider: CheckedProvider, runtime: Runtime, name: string): Promise<CompressReport> => {
    const report = await compressModel(
      {
        kind: 'compress',
        model: path.join(request.folder, 'models', 'loom-base'),
        method: 'rtn',
        parameters: { bits: 4, groupSize: 32 },
        format: 'onnx-fast',
        out: path.join(request.scratch, name),
      },
      quietContext(runtime),
    );
    reports.set(provider, report);
    return report;
  };
  for (const provider of new Set<CheckedProvider>(['cpu', request.provider])) {
    const runtime = await runtimeFor(provider, provider === 'cpu' ? { trust: false } : request);
    try {
      await compress(provider, runtime, `rounded-${provider}`);
    } finally {
      await runtime.dispose();
    }
  }
  const own = reports.get(request.provider) as CompressReport;
  const file = (provider: CheckedProvider) => path.join(request.scratch, `rounded-${provider}`, own.primary);
  const same = hashOf(file('cpu')) === hashOf(file(request.provider));
  const shares = await measureShares(request, 'rounding', async (runtime) => {
    await compress(request.provider, runtime, 'rounded-profiled');
  });
  const evaluated = await evaluateOnBoth(request, textSpec(request, file(request.provider), request.short ? 2 : 16));
  const weights = own.layers.reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0);
  const problems = [
    ...(same ? [] : ['The compressed file differs from the one that the CPU wrote.']),
    ...(own.verification.passed ? [] : ['The compressed model failed its verification.']),
    ...(evaluated.note === undefined ? [] : [evaluated.note]),
  ];
  return {
    status: problems.length === 0 ? 'agrees' : 'disagrees',
    ...(problems.length === 0 ? {} : { note: problems.join(' ') }),
    weights,
    weightsPerSecond: weights / own.seconds,
    secondsByProvider: Object.fromEntries([...reports].map(([provider, { seconds }]) => [provider, seconds])),
    ...shares,
    evaluation: evaluated,
  };
}

/** The ONNX sample on its test images, through the packed command line and in this process. */
export async function runEvaluation(request: PartRequest): Promise<PartEnd> {
  const model = path.join(request.folder, 'models', 'digits', 'digits-mlp.onnx');
  const data = path.join(request.folder, 'models', 'digits', 'data');
  const ended = await evaluateOnBoth(request, { kind: 'evaluate', model, data });
  const cli = path.join(request.folder, 'dist', 'cli.js');
  const words = [cli, 'evaluate', model, '--data', data, '--provider', request.provider, '--json'];
  const { value, environment } = JSON.parse(
    execFileSync(process.execPath, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  ) as EvaluateReport;
  const agrees = value === ended.value && environment.provider === request.provider;
  return {
    ...ended,
    commandLine: { value, provider: environment.provider, providerReason: environment.providerReason },
    ...(agrees
      ? {}
      : { status: 'disagrees', note: `The command line gives ${value} on ${environment.provider}, the engine ${ended.value}.` }),
  };
}

type Evaluated = PartEnd & { readonly value: number };

/** Evaluates on the provider and on the CPU: the same loss, the speed of both, and what ran where. */
async function evaluateOnBoth(request: PartRequest, spec: EvaluateSpec): Promise<Evaluated> {
  const own = await evaluate(request.provider, request, spec);
  const cpu = request.provider === 'cpu' ? own : await evaluate('cpu', { trust: false }, spec);
  const limited = spec.text === undefined ? spec : { ...spec, limit: Math.min(spec.limit ?? Infinity, 4) };
  const shares = await measureShares(request, path.basename(spec.model), async (runtime) => {
    await evaluateModel(limited, quietContext(runtime));
  });
  const error = Math.abs(own.loss - cpu.loss) / Math.abs(cpu.loss);
  const agrees = error <= lossTolerance && Number.isFinite(own.value);
  return {
    status: agrees ? 'agrees' : 'disagrees',
    ...(agrees ? {} : { note: `${path.basename(spec.model)}: the loss is ${own.loss}, on the CPU ${cpu.loss}.` }),
    metric: own.metric,
    value: own.value,
    valueOnCpu: cpu.value,
    loss: own.loss,
    lossError: error,
    ...(own.tokens === undefined
      ? {}
      : { tokens: own.tokens, tokensPerSecond: own.tokensPerSecond, tokensPerSecondOnCpu: cpu.tokensPerSecond }),
    ...(own.samples === undefined ? {} : { samples: own.samples, samplesPerSecond: own.samples / own.seconds }),
    providerReason: own.environment.providerReason,
    ...shares,
  };
}

async function evaluate(provider: CheckedProvider, { trust }: Pick<PartRequest, 'trust'>, spec: EvaluateSpec): Promise<EvaluateReport> {
  const runtime = await runtimeFor(provider, { trust });
  try {
    // The first evaluation loads kernels and chooses algorithms; the second is what a longer one is like.
    if (provider !== 'cpu') await evaluateModel(spec, quietContext(runtime));
    return await evaluateModel(spec, quietContext(runtime));
  } finally {
    await runtime.dispose();
  }
}

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
