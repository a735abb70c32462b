import type { EngineRequest, EngineResult } from '../protocol/client/wire';
import type { EngineApi } from '../protocol/engine';
import { protocolVersion } from '../protocol/version';
import { describeAllMethods } from './services/allMethods';
import type { ServedEngine } from './engineServer';
import type { CallContext } from './services/callContext';
import { findModels } from './models/findModels';
import { completeStep } from './services/completeStep';
import { hostMemory } from './services/freeSpace';
import { describeKind } from './jobs/stepKind';
import type { StepKind } from './jobs/stepKind';
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
 * opened before it is requested. The caller disposes it.
 */
export class Engine implements EngineApi, ServedEngine {
  private readonly models = new OpenModels();
  private readonly runtimes = new Runtimes();
  private readonly jobs: JobRunner;

  /** `kinds`: the kinds of steps that there are; default those of the program. */
  constructor(options: { readonly kinds?: readonly StepKind[] } = {}) {
    this.jobs = new JobRunner(this.runtimes, options);
  }

  handshake(_request: EngineRequest<'handshake'>): Promise<EngineResult<'handshake'>> {
    return Promise.resolve({ protocol: protocolVersion, engine: version, pid: process.pid });
  }

  findModels({ folder }: EngineRequest<'findModels'>, { signal }: CallContext = {}): Promise<EngineResult<'findModels'>> {
    return findModels(folder, signal);
  }

  inspect({ model, limited, within }: EngineRequest<'inspect'>): Promise<EngineResult<'inspect'>> {
    const options = limited ? { limited, ...(within && { within }) } : {};
    return this.models.use(model, options, (container) => summarize(container, model, options));
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
    return Promise.resolve(describeAllMethods(this.jobs.kinds));
  }

  kinds(_request: EngineRequest<'kinds'>): Promise<EngineResult<'kinds'>> {
    return Promise.resolve(this.jobs.kinds.map(describeKind));
  }

  async completeStep(request: EngineRequest<'completeStep'>): Promise<EngineResult<'completeStep'>> {
    return completeStep(this.jobs.kinds, request);
  }

  async describeJob({ spec }: EngineRequest<'describeJob'>): Promise<EngineResult<'describeJob'>> {
    return this.jobs.describe(spec);
  }

  async describeReport({ spec, report }: EngineRequest<'describeReport'>): Promise<EngineResult<'describeReport'>> {
    return this.jobs.view(spec, report);
  }

  async devices({ runtimePath }: EngineRequest<'devices'>): Promise<EngineResult<'devices'>> {
    const memory = await hostMemory();
    return describeDevices({ memory, ...(runtimePath === undefined ? {} : { runtimePath }) });
  }

  forecast({ spec }: EngineRequest<'forecast'>): Promise<EngineResult<'forecast'>> {
    return this.jobs.forecast(spec);
  }

  runJob({ spec }: EngineRequest<'runJob'>, context: CallContext = {}): Promise<EngineResult<'runJob'>> {
    return this.jobs.run(spec, context);
  }

  checkRecipe(request: EngineRequest<'checkRecipe'>): Promise<EngineResult<'checkRecipe'>> {
    return checkRecipe(request, this.jobs.kinds);
  }

  completeRecipe(request: EngineRequest<'completeRecipe'>): Promise<EngineResult<'completeRecipe'>> {
    return Promise.resolve(completeRecipe(request, this.jobs.kinds));
  }

  /** Closes models and releases sessions. */
  async dispose(): Promise<void> {
    await this.models.dispose();
    await this.runtimes.dispose();
  }
}
