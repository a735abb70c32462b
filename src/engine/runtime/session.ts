import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { createTemporaryFolder } from '../formats/files/temporaryFolder';
import { ownEntry } from '../../common/ownEntry';
import { LoomweightError } from '../../protocol/errors';
import type { Ort } from './loadOrt';
import { hasComputingNeighbour, isMachineBusy } from './neighbours';
import { wrapOrtError } from './ortErrors';
import { cpuProvider, readProfile, shareByProvider } from './profile';
import { releaseArrays } from './releaseArrays';
import { describeTensors, fromOrtTensor, isRuntimeDType, toOrtTensor } from './tensors';
import type { RuntimeTensor, Session, SessionOptions } from './types';

/** Providers as spelled by ONNX Runtime. */
export type Provider = 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';

/** Source of a session. */
export interface SessionSource {
  /** Graph name or path, for messages. */
  readonly name: string;
  /** Model bytes or the path of a file. */
  readonly model: Uint8Array | string;
  /** Folder of external data if the model is given as bytes. */
  readonly folder?: string;
}

/** State shared by the sessions of one runtime. */
export interface SessionContext {
  readonly ort: Ort;
  readonly provider: Provider;
  readonly threads: number;
  /** Called once per session with the operators that ran on the CPU although another provider was chosen. */
  readonly onFallback?: (source: string, operators: readonly string[]) => void;
  /** Fail instead of running an operator on the CPU. */
  readonly strict?: boolean;
}

const fallbackRefused = /fallback to CPU EP has been explicitly disabled/;

/** Loads a model for running. Blocks the thread meanwhile (1 s for 1 GB of weights). */
export async function createSession(context: SessionContext, source: SessionSource, options: SessionOptions = {}): Promise<Session> {
  const { ort, provider } = context;
  const fromFile = typeof source.model === 'string';
  const create = async (settings: InferenceSession.SessionOptions): Promise<InferenceSession> => {
    try {
      // The two overloads do not accept a union.
      return typeof source.model === 'string'
        ? await ort.InferenceSession.create(source.model, settings)
        : await ort.InferenceSession.create(source.model, settings);
    } catch (error) {
      throw wrapOrtError(error, { model: source.name, action: 'create', provider, fromFile });
    }
  };
  if (provider === 'cpu' || options.profile !== undefined)
    return new OrtSession(context, source.name, await create(ortOptions(context, source, options, {})), fromFile, {
      profiles: options.profile !== undefined,
    });
  try {
    const session = await create(ortOptions(context, source, options, { disable_cpu_ep_fallback: '1' }));
    return new OrtSession(context, source.name, session, fromFile);
  } catch (error) {
    if (context.strict || !(error instanceof LoomweightError) || !fallbackRefused.test(error.message)) throw error;
  }
  // Some operators have no kernel on this provider. Profile the first run, so that the report can name them.
  const profileFolder = createTemporaryFolder('profile').path;
  try {
    const settings = ortOptions(context, source, options, {});
    const session = await create({ ...settings, enableProfiling: true, profileFilePrefix: join(profileFolder, 'run') });
    return new OrtSession(context, source.name, session, fromFile, { profileFolder });
  } catch (error) {
    rmSync(profileFolder, { recursive: true, force: true });
    throw error;
  }
}

function ortOptions(
  { provider, threads }: SessionContext,
  source: SessionSource,
  options: SessionOptions,
  extra: Readonly<Record<string, string>>,
): InferenceSession.SessionOptions {
  const session: Record<string, string> = { ...extra };
  // By default ORT fuses DequantizeLinear + MatMul into a kernel that rounds activations to int8 (relative error 4e-3 to 9e-3).
  if (options.exactMatMulNBits !== false) session['qdq_matmulnbits_accuracy_level'] = '1';
  if (options.disablePrepacking) session['disable_prepacking'] = '1';
  if (hasComputingNeighbour() || isMachineBusy()) session['intra_op.allow_spinning'] = '0';
  if (source.folder !== undefined) session['model_external_initializers_file_folder_path'] = source.folder;
  return {
    executionProviders: [provider],
    graphOptimizationLevel: options.optimization ?? 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    ...(options.planMemory === false ? { enableMemPattern: false } : {}),
    // DirectML requires both; elsewhere they are the defaults.
    ...(provider === 'dml' ? { enableMemPattern: false, executionMode: 'sequential' } : {}),
    extra: { session },
    ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile }),
  };
}

class OrtSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  private released = false;
  /** Path of the profile of the first run, until it is read. */
  private profileFolder: string | undefined;
  /** The caller asked for a profile. */
  private readonly profiles: boolean;

  constructor(
    private readonly context: SessionContext,
    private readonly name: string,
    private readonly session: InferenceSession,
    private readonly fromFile: boolean,
    { profileFolder, profiles = false }: { readonly profileFolder?: string; readonly profiles?: boolean } = {},
  ) {
    this.profileFolder = profileFolder;
    this.profiles = profiles;
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
  }

  async run(
    feeds: Readonly<Record<string, RuntimeTensor>>,
    outputs: readonly string[] = this.outputNames,
    into: Readonly<Record<string, RuntimeTensor>> = {},
  ): Promise<Readonly<Record<string, RuntimeTensor>>> {
    if (this.released) throw new LoomweightError('internal', `The session of '${this.name}' was used after its release.`);
    this.checkNames(feeds, [...outputs, ...Object.keys(into)]);
    this.checkTypes(into);
    const { ort } = this.context;
    const tensors = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrtTensor(ort, name, tensor)]));
    const fetches = Object.fromEntries(
      outputs.map((name) => {
        const target = ownEntry(into, name);
        return [name, target ? toOrtTensor(ort, name, target) : null];
      }),
    );
    try {
      const results = await this.session.run(tensors, fetches);
      const given = Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [name, ownEntry(into, name) ?? fromOrtTensor(name, tensor)]),
      );
      // The binding copies every output, also those that the runtime has written into arrays of the caller.
      releaseArrays(
        Object.entries(results).flatMap(([name, { data }]) => (ownEntry(into, name) ? [data as Float32Array] : [])),
        Object.values(into).map(({ data }) => data),
      );
      this.reportFallback();
      return given;
    } catch (error) {
      throw wrapOrtError(error, {
        model: this.name,
        action: 'run',
        fromFile: this.fromFile,
        provider: this.context.provider,
        feeds: describeTensors(feeds),
      });
    }
  }

  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    this.dropProfile();
    if (this.profiles) this.session.endProfiling();
    await this.session.release();
  }

  private checkNames(feeds: Readonly<Record<string, RuntimeTensor>>, outputs: readonly string[]): void {
    const missing = this.inputNames.filter((name) => !(name in feeds));
    const unknown = Object.keys(feeds).filter((name) => !this.inputNames.includes(name));
    if (missing.length > 0 || unknown.length > 0)
      throw new LoomweightError(
        'invalid-argument',
        `The inputs of '${this.name}' are ${this.inputNames.join(', ')}; ` +
          [missing.length > 0 ? `missing: ${missing.join(', ')}` : '', unknown.length > 0 ? `unknown: ${unknown.join(', ')}` : '']
            .filter(Boolean)
            .join('; ') +
          '.',
        { model: this.name, missing, unknown },
      );
    const wrong = outputs.filter((name) => !this.outputNames.includes(name));
    if (wrong.length > 0)
      throw new LoomweightError(
        'invalid-argument',
        `'${this.name}' has no output ${wrong.join(', ')}; its outputs are ${this.outputNames.join(', ')}.`,
        { model: this.name, wrong },
      );
    // Fetching a 4-bit output would end the process, so refuse it before the run.
    const unreadable = this.session.outputMetadata.filter(
      (output) => outputs.includes(output.name) && !(output.isTensor && isRuntimeDType(output.type)),
    );
    if (unreadable.length > 0)
      throw new LoomweightError(
        'unsupported',
        `'${this.name}' has outputs that cannot be read as plain arrays: ` +
          `${unreadable.map((output) => `${output.name} (${output.isTensor ? output.type : 'not a tensor'})`).join(', ')}. Cast them in the graph.`,
        { model: this.name, outputs: unreadable.map(({ name }) => name) },
      );
  }

  /** ONNX Runtime checks the shape of an array that it is given for an output, but not its type. */
  private checkTypes(into: Readonly<Record<string, RuntimeTensor>>): void {
    for (const output of this.session.outputMetadata) {
      const given = ownEntry(into, output.name)?.dtype;
      if (given === undefined || !output.isTensor || output.type === given) continue;
      throw new LoomweightError(
        'invalid-argument',
        `Output '${output.name}' of '${this.name}' is ${output.type}, got ${given} to write it into. Pass a tensor of its type.`,
        { model: this.name, output: output.name, dtype: given },
      );
    }
  }

  /** After the first run of a mixed session: reads the profile, reports the operators that ran on the CPU, stops profiling. */
  private reportFallback(): void {
    if (this.profileFolder === undefined) return;
    this.session.endProfiling();
    const folder = this.profileFolder;
    const shares = readdirSync(folder).flatMap((file) => shareByProvider(readProfile(join(folder, file))));
    const operators = shares.find(({ provider }) => provider === cpuProvider)?.operators ?? [];
    rmSync(this.profileFolder, { recursive: true, force: true });
    this.profileFolder = undefined;
    this.context.onFallback?.(this.name, [...operators].sort());
  }

  private dropProfile(): void {
    if (this.profileFolder === undefined) return;
    this.session.endProfiling();
    rmSync(this.profileFolder, { recursive: true, force: true });
    this.profileFolder = undefined;
  }
}
