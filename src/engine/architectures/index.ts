import { ownEntry } from '../../common/ownEntry';
import { LoomweightError } from '../../protocol/errors';
import type { TensorRole } from '../../protocol/model';
import type { DecoderArchitecture, DecoderConfig } from './architecture';
import { implausibleSize } from './decoder/configReader';
import { llama } from './llama';
import { mistral } from './mistral';
import { qwen2 } from './qwen2';

/** Architectures that can be run and exported. To add one, add a file like llama.ts and a line here. */
export const architectures: readonly DecoderArchitecture[] = [llama, mistral, qwen2];

/** An architecture with the configuration of one model. */
export interface RecognizedModel {
  readonly architecture: DecoderArchitecture;
  readonly config: DecoderConfig;
}

/** Model types of configs that do not name an architecture. */
const modelTypes: Readonly<Record<string, string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
};

/** The architecture that config.json names; undefined if it is not supported. */
export function findArchitecture(config: Readonly<Record<string, unknown>>): DecoderArchitecture | undefined {
  const names = namesIn(config);
  return architectures.find((architecture) => architecture.names.some((name) => names.includes(name)));
}

/** Reads config.json. Errors: `unsupported` with the list of supported architectures, `malformed-file` with the entry. */
export function recognizeModel(config: Readonly<Record<string, unknown>>): RecognizedModel {
  const architecture = findArchitecture(config);
  if (!architecture) {
    const found = namesIn(config).join(', ') || 'no architecture';
    throw new LoomweightError(
      'unsupported',
      `Running a model needs one of the architectures ${architectures.map(({ names }) => names[0]).join(', ')}, but config.json names ${found}. ` +
        'Other models can be inspected and compared, or exported to ONNX and evaluated.',
      { found: namesIn(config), supported: architectures.map(({ names }) => names[0]) },
    );
  }
  return { architecture, config: architecture.readConfig(config) };
}

/** Role of every tensor of a model, by name; empty if the architecture is not supported or its config cannot be read. Errors: `malformed-file` for sizes beyond those of any model. */
export function tensorRoles(config: Readonly<Record<string, unknown>> | undefined): ReadonlyMap<string, TensorRole> {
  const architecture = config && findArchitecture(config);
  if (!architecture) return new Map();
  try {
    // Inspection must work for a config that cannot be run, for example one with another rotary scaling.
    const expected = architecture.expectedTensors(architecture.readConfig(config, { layoutOnly: true }));
    return new Map(expected.map(({ name, role }) => [name, role]));
  } catch (error) {
    if (error instanceof LoomweightError && error.details?.['diagnostic'] !== implausibleSize) return new Map();
    throw error;
  }
}

function namesIn(config: Readonly<Record<string, unknown>>): readonly string[] {
  const listed = Array.isArray(config['architectures'])
    ? config['architectures'].filter((name): name is string => typeof name === 'string')
    : [];
  if (listed.length > 0) return listed;
  const type = config['model_type'];
  const known = typeof type === 'string' ? ownEntry(modelTypes, type) : undefined;
  return known === undefined ? (typeof type === 'string' ? [type] : []) : [known];
}
