import { LoomweightError } from '../../protocol/errors';
import type { ProviderChoice } from '../../protocol/jobs';
import type { RunEnvironment } from '../../protocol/report';
import { encodeModel } from '../formats/onnx/encodeModel';
import type { Graph } from '../graph/graph';
import { printGraph } from '../graph/printer';
import { verifyGraph } from '../graph/verifier';
import { operators } from '../ops';
import { chooseProvider } from './chooseProvider';
import type { ChosenProvider } from './chooseProvider';
import { findRuntimePackage, loadOrt } from './loadOrt';
import type { RuntimePackage } from './loadOrt';
import { thisMachine } from './machine';
import type { Machine } from './machine';
import { releaseArrays } from './releaseArrays';
import { createSession } from './session';
import type { SessionContext } from './session';
import { SessionCache } from './sessionCache';
import { chooseThreads } from './threads';
import type { Runtime, Session, SessionOptions } from './types';

/** Options of a job's runtime. */
export interface RuntimeRequest {
  /** Default `auto`. */
  readonly provider?: ProviderChoice;
  /** Default: all cores; never more. */
  readonly threads?: number;
  /** Folder of another onnxruntime-node package, as in the setting loomweight.runtime.path. */
  readonly runtimePath?: string;
  readonly machine?: Machine;
}

/**
 * Loads ONNX Runtime and chooses the provider, once. Errors: `unsupported` with what is missing if a named provider cannot be used,
 * `not-found` or `runtime` if the runtime itself cannot be loaded.
 */
export async function createRuntime(request: RuntimeRequest = {}): Promise<Runtime> {
  const found = findRuntimePackage(request.runtimePath);
  const ort = loadOrt(found);
  const threads = chooseThreads(request.threads);
  const chosen = await chooseProvider(ort, found, request.provider ?? 'auto', threads, request.machine ?? thisMachine());
  return new OrtRuntime(found, chosen, { ort, provider: chosen.provider, threads });
}

class OrtRuntime implements Runtime {
  private readonly cache = new SessionCache();
  private readonly fallen = new Map<string, Set<string>>();
  private readonly context: SessionContext;

  constructor(
    private readonly found: RuntimePackage,
    private readonly chosen: ChosenProvider,
    context: SessionContext,
  ) {
    this.context = {
      ...context,
      onFallback: (source, operators) => {
        const known = this.fallen.get(source) ?? new Set();
        for (const operator of operators) known.add(operator);
        if (known.size > 0) this.fallen.set(source, known);
      },
    };
  }

  get environment(): RunEnvironment {
    return {
      provider: this.chosen.provider,
      providerReason: [this.chosen.reason, ...this.notes()].join(' '),
      runtime: `onnxruntime-node ${this.found.version}${this.found.origin === 'configured' ? ` from ${this.found.folder}` : ''}`,
      threads: this.context.threads,
    };
  }

  notes(): readonly string[] {
    const { provider } = this.chosen;
    return [...this.fallen].map(
      ([source, operators]) => `These operators of '${source}' ran on the CPU instead of ${provider}: ${[...operators].join(', ')}.`,
    );
  }

  createFromGraph(graph: Graph, options: SessionOptions & { readonly folder?: string; readonly keep?: boolean } = {}): Promise<Session> {
    const { folder, keep, ...sessionOptions } = options;
    const key = JSON.stringify([folder, options.optimization, options.exactMatMulNBits, options.disablePrepacking, options.planMemory]);
    const create = async (): Promise<Session> => {
      // Our own check names the node and the problem; the runtime's messages often do not.
      verifyGraph(graph, operators, { allowUnknownOperators: true });
      const model = { name: graph.name, model: encodeModel(graph), ...(folder === undefined ? {} : { folder }) };
      try {
        const session = await createSession(this.context, model, sessionOptions);
        // The session has read the message.
        releaseArrays([model.model], []);
        return session;
      } catch (error) {
        if (!LoomweightError.is(error)) throw error;
        throw new LoomweightError(
          error.code,
          error.message,
          { ...error.details, graph: printGraph(graph).slice(0, 20_000) },
          { cause: error },
        );
      }
    };
    return keep === false ? create() : this.cache.get(graph, key, create);
  }

  createFromFile(path: string, options: SessionOptions = {}): Promise<Session> {
    return createSession(this.context, { name: path, model: path }, options);
  }

  releaseIdle(): Promise<void> {
    return this.cache.releaseIdle();
  }

  dispose(): Promise<void> {
    return this.cache.dispose();
  }
}
