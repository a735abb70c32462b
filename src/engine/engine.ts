import type { EngineRequest, EngineResult } from '../protocol/client/wire';
import type { EngineApi } from '../protocol/engine';
import type { JobSpec, ReportOf } from '../protocol/jobs';
import { protocolVersion } from '../protocol/version';
import { describeAllMethods } from './services/allMethods';
import type { ServedEngine } from './engineServer';
import type { CallContext } from './services/callContext';
import { findModels } from './models/findModels';
import { hostMemory } from './services/freeSpace';
import { JobRunner } from './services/jobRunner';
import { OpenModels } from './services/openModels';
import { Runtimes } from './services/runtimes';
import { summarize } from './models/summarize';
import { tensorPicture } from './kernels/host/picture';
import { tensorStatistics } from './kernels/host/statistics';
import { checkRecipe } from './recipe/checkRecipe';
import { completeRecipe } from './recipe/completeRecipe';
import { describeDevices } from './runtime/devices';
import { version } from './version';

/**
 * The engine: answers everything in `EngineApi`, in the engine process or in the process of the command line. Nothing is loaded or
 * opened before it is asked for. Whoever makes it disposes it.
 */
export class Engine implements EngineApi, ServedEngine {
  private readonly models = new OpenModels();
  private readonly runtimes = new Runtimes();
  private readonly jobs = new JobRunner(this.runtimes);

  handshake(_request: EngineRequest<'handshake'>): Promise<EngineResult<'handshake'>> {
    return Promise.resolve({ protocol: protocolVersion, engine: version, pid: process.pid });
  }

  findModels({ folder }: EngineRequest<'findModels'>, { signal }: CallContext = {}): Promise<EngineResult<'findModels'>> {
    return findModels(folder, signal);
  }

  inspect({ model, limited }: EngineRequest<'inspect'>): Promise<EngineResult<'inspect'>> {
    return this.models.use(model, limited ? { limited } : {}, (container) => summarize(container, model, limited ? { limited } : {}));
  }

  statistics({ model, tensor, bins }: EngineRequest<'statistics'>, { signal }: CallContext = {}): Promise<EngineResult<'statistics'>> {
    return this.models.use(model, {}, (container) =>
      tensorStatistics(container, tensor, { ...(bins === undefined ? {} : { bins }), ...(signal ? { signal } : {}) }),
    );
  }

  picture(
    { model, tensor, region, width, height }: EngineRequest<'picture'>,
    { signal }: CallContext = {},
  ): Promise<EngineResult<'picture'>> {
    return this.models.use(model, {}, (container) =>
      tensorPicture(container, tensor, { width, height, ...(region ? { region } : {}), ...(signal ? { signal } : {}) }),
    );
  }

  methods(_request: EngineRequest<'methods'>): Promise<EngineResult<'methods'>> {
    return Promise.resolve(describeAllMethods());
  }

  async devices({ runtimePath }: EngineRequest<'devices'>): Promise<EngineResult<'devices'>> {
    const memory = await hostMemory();
    return describeDevices({ memory, ...(runtimePath === undefined ? {} : { runtimePath }) });
  }

  forecast({ spec }: EngineRequest<'forecast'>): Promise<EngineResult<'forecast'>> {
    return this.jobs.forecast(spec);
  }

  runJob<Spec extends JobSpec>({ spec }: { readonly spec: Spec }, context: CallContext = {}): Promise<ReportOf<Spec>> {
    return this.jobs.run(spec, context);
  }

  checkRecipe(request: EngineRequest<'checkRecipe'>): Promise<EngineResult<'checkRecipe'>> {
    return checkRecipe(request, describeAllMethods());
  }

  completeRecipe(request: EngineRequest<'completeRecipe'>): Promise<EngineResult<'completeRecipe'>> {
    return Promise.resolve(completeRecipe(request, describeAllMethods()));
  }

  /** Closes models and releases sessions. */
  async dispose(): Promise<void> {
    await this.models.dispose();
    await this.runtimes.dispose();
  }
}
