import type { GraphBuilder } from '../../graph/builder';
import { int } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { DecoderConfig } from '../architecture';
import { nested, positiveNumber, unsupportedEntry, type RawConfig } from './configReader';

/** Rotary position embeddings: pairs (i, i + headSize / 2) of a head are rotated by position * frequency[i]. */

/**
 * Base and scaling of the rotary frequencies, from `rope_parameters` (newer) or `rope_theta` and `rope_scaling`. Supported scalings: none,
 * `linear`, `llama3`.
 */
export function readRope(config: RawConfig, headSize: number): Pick<DecoderConfig, 'ropeTheta' | 'ropeScaling'> {
  const parameters = nested(config, 'rope_parameters') ?? nested(config, 'rope_scaling') ?? {};
  const partial = parameters['partial_rotary_factor'] ?? config['partial_rotary_factor'] ?? 1;
  if (partial !== 1) throw unsupportedEntry('partial_rotary_factor', '1', partial);
  const ropeTheta = positiveNumber(parameters['rope_theta'] === undefined ? config : parameters, 'rope_theta', 10000);
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  const original = parameters['original_max_position_embeddings'] ?? config['max_position_embeddings'];
  const ropeScaling = type === 'default' ? undefined : { ...parameters, rope_type: type, original_max_position_embeddings: original };
  const read = { ropeTheta, ropeScaling };
  // Computing them here makes an invalid entry fail while the config is read.
  inverseFrequencies({ ...read, headSize });
  return read;
}

/**
 * Frequencies in radians per position, float32, [headSize / 2]:
 *   f[i] = theta^(-2i / headSize)
 * `linear`: f / factor. `llama3` (Llama 3.1): wavelengths above original / low_freq_factor are divided by the factor, those below original
 * / high_freq_factor are kept, and those between are blended with s = (original / wavelength - low) / (high - low).
 */
export function inverseFrequencies(config: Pick<DecoderConfig, 'ropeTheta' | 'ropeScaling' | 'headSize'>): Float32Array {
  const plain = Float32Array.from({ length: config.headSize / 2 }, (_, index) => 1 / config.ropeTheta ** ((2 * index) / config.headSize));
  const scaling = config.ropeScaling;
  if (scaling === undefined) return plain;
  const type = scaling['rope_type'];
  if (type !== 'linear' && type !== 'llama3') throw unsupportedEntry('rotary scaling', "none, 'linear', 'llama3'", type);
  const factor = positiveNumber(scaling, 'factor');
  if (type === 'linear') return plain.map((frequency) => frequency / factor);
  const low = positiveNumber(scaling, 'low_freq_factor');
  const high = positiveNumber(scaling, 'high_freq_factor');
  const original = positiveNumber(scaling, 'original_max_position_embeddings');
  return plain.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < original / high) return frequency;
    if (wavelength > original / low) return frequency / factor;
    const share = (original / wavelength - low) / (high - low);
    return ((1 - share) * frequency) / factor + share * frequency;
  });
}

/** Cosines and sines of a run, shared by all blocks. */
export interface RotaryAngles {
  /** [batch or 1, 1, sequence, headSize] float32 each. */
  readonly cosine: Value;
  readonly sine: Value;
}

/** Angles for `positions` [batch or 1, sequence] int64. Both halves of a head rotate by the same angles. */
export function rotaryAngles(build: GraphBuilder, config: DecoderConfig, positions: Value): RotaryAngles {
  const frequencies = build.float32([...inverseFrequencies(config)]);
  const float = build.op('Cast', [positions], { to: int(1) });
  const angles = build.op('Mul', [build.op('Unsqueeze', [float, build.int64([1, 3])]), frequencies]);
  const both = build.op('Concat', [angles, angles], { axis: int(-1) });
  return { cosine: build.op('Cos', [both]), sine: build.op('Sin', [both]) };
}

/** x [batch, heads, sequence, headSize] rotated: x * cos + (-second half, first half) * sin. */
export function applyRotary(build: GraphBuilder, config: DecoderConfig, x: Value, angles: RotaryAngles, name: string): Value {
  const half = config.headSize / 2;
  const [first, second] = build.node('Split', [x, build.int64([half, half])], { axis: int(3) }, { outputs: 2, name: `${name}/Split` });
  const turned = build.op('Concat', [build.op('Neg', [second]), first], { axis: int(3) }, { name: `${name}/Concat` });
  return build.op('Add', [build.op('Mul', [x, angles.cosine]), build.op('Mul', [turned, angles.sine])], {}, { name: `${name}/Add` });
}
