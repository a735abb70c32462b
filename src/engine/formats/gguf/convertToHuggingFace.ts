import { byteLength, dtypes } from '../../../protocol/dtypes';
import type { Diagnostic } from '../../../protocol/model';
import type { TensorContainer, TensorEntry } from '../container';
import { decodeToFloat32, isDecodable } from '../decode';
import { quoteName, unsupportedContent, rangeOutsideTensor, tensorNotFound } from '../malformed';
import { convertibleFamily, llamaConfig } from './llamaConfig';
import { huggingFaceName } from './llamaNames';
import { llamaTokenizer } from './llamaTokenizer';
import type { GgufContainer } from './openGguf';

/** True if `viewAsHuggingFace` supports the architecture. */
export function isConvertible(container: GgufContainer): boolean {
  return convertibleFamily(container.values) !== undefined;
}

/**
 * Presents a Llama or Qwen2 GGUF file as a Hugging Face folder: the same names, shapes and config, with tokenizer files as
 * `generatedCompanions`. Block types appear as their exact float32 values; other types are kept. For the family `llama`, the rows of q and
 * k, which llama.cpp's converter interleaves for its rotary kernels, are restored to their original order. Closing the view closes the
 * file. A tokenizer that cannot be rebuilt causes the warning `tokenizer-unsupported`; the weights are still available. Errors:
 * `unsupported` for other architectures, tensors without a counterpart, and types that cannot be decoded (K-quants).
 */
export async function viewAsHuggingFace(source: GgufContainer): Promise<TensorContainer> {
  const family = convertibleFamily(source.values);
  if (family === undefined)
    throw unsupportedContent(
      source.path,
      'unsupported-architecture',
      `${source.path} has the architecture ${quoteName(source.metadata['general.architecture'] ?? 'none')}; only llama and qwen2 can be converted.`,
    );
  const ropeFactors = source.tensors.has('rope_freqs.weight')
    ? decodeToFloat32('float32', await source.read('rope_freqs.weight'))
    : undefined;
  const config = llamaConfig(source, ropeFactors);
  const tensors = new Map<string, ViewedTensor>();
  for (const entry of source.tensors.values()) {
    if (entry.name === 'rope_freqs.weight') continue;
    const name = huggingFaceName(entry.name);
    if (name === undefined)
      throw unsupportedContent(
        source.path,
        'unsupported-architecture',
        `${source.path} has the tensor ${quoteName(entry.name)}, for which a ${family} model in Hugging Face format has no place.`,
      );
    if (!isDecodable(entry.dtype)) decodeToFloat32(entry.dtype, new Uint8Array(0)); // throws, with advice on what to use instead
    tensors.set(name, viewTensor(entry, name, family === 'llama' ? permutedHeads(name, config) : undefined));
  }
  const tokenizer = llamaTokenizer(source.values);
  const diagnostics: Diagnostic[] = [...source.diagnostics];
  if ('problem' in tokenizer)
    diagnostics.push({
      severity: 'warning',
      code: 'tokenizer-unsupported',
      message: `${tokenizer.problem} Copy tokenizer.json from the original model.`,
      file: source.path,
    });
  return {
    format: 'gguf',
    path: source.path,
    tensors,
    metadata: source.metadata,
    diagnostics,
    config,
    generatedCompanions: new Map([
      ['config.json', `${JSON.stringify(config, undefined, 2)}\n`],
      ...('files' in tokenizer ? tokenizer.files : []),
    ]),
    weightFiles: [source.path],
    read: (name, range) => readViewed(source, tensors.get(name), name, range),
    close: () => source.close(),
  };
}

interface ViewedTensor extends TensorEntry {
  readonly source: TensorEntry;
  /** Number of heads whose rows are interleaved, or undefined if rows are in order. */
  readonly heads: number | undefined;
}

function viewTensor(source: TensorEntry, name: string, heads: number | undefined): ViewedTensor {
  const dtype = dtypes[source.dtype].blockSize > 1 ? 'float32' : source.dtype;
  const asIs = dtype === source.dtype && heads === undefined;
  return {
    name,
    dtype,
    shape: source.shape,
    bytes: byteLength(dtype, source.shape),
    ...(dtype === source.dtype ? {} : { storedDType: source.dtype }),
    location: asIs ? source.location : undefined,
    source,
    heads,
  };
}

function permutedHeads(name: string, config: Readonly<Record<string, unknown>>): number | undefined {
  if (/\.q_proj\./.test(name)) return config['num_attention_heads'] as number;
  return /\.k_proj\./.test(name) ? (config['num_key_value_heads'] as number) : undefined;
}

async function readViewed(
  source: GgufContainer,
  tensor: ViewedTensor | undefined,
  name: string,
  range: { readonly offset: number; readonly length: number } | undefined,
): Promise<Uint8Array> {
  if (!tensor) throw tensorNotFound(source.path, name);
  const { offset, length } = range ?? { offset: 0, length: tensor.bytes };
  if (!(offset >= 0 && length >= 0 && offset + length <= tensor.bytes)) throw rangeOutsideTensor(name, tensor.bytes, { offset, length });
  if (tensor.location) return source.read(tensor.source.name, { offset, length });
  if (length === 0) return new Uint8Array(0);
  // Decodes whole rows, or whole heads if rows are interleaved, and then extracts the range.
  const rows = tensor.shape.length > 1 ? (tensor.shape[0] as number) : tensor.heads === undefined ? 1 : (tensor.shape[0] as number);
  const rowBytes = tensor.bytes / rows;
  const unit = tensor.heads === undefined ? 1 : rows / tensor.heads;
  if (!Number.isInteger(unit) || (tensor.heads !== undefined && unit % 2 !== 0))
    throw unsupportedContent(
      source.path,
      'unsupported-architecture',
      `Tensor ${quoteName(name)} has ${rows} rows, which is not a multiple of its ${tensor.heads} heads.`,
    );
  const first = Math.floor(offset / (rowBytes * unit)) * unit;
  const last = Math.ceil((offset + length) / (rowBytes * unit)) * unit;
  const decoded = await decodeRows(source, tensor, rows, first, last);
  const ordered = tensor.heads === undefined ? decoded : separateHalves(decoded, rowBytes, unit);
  return ordered.slice(offset - first * rowBytes, offset - first * rowBytes + length);
}

async function decodeRows(source: GgufContainer, tensor: ViewedTensor, rows: number, first: number, last: number): Promise<Uint8Array> {
  const stored = tensor.source.bytes / rows;
  const bytes = await source.read(tensor.source.name, { offset: first * stored, length: (last - first) * stored });
  if (tensor.dtype === tensor.source.dtype) return bytes;
  return new Uint8Array(decodeToFloat32(tensor.source.dtype, bytes).buffer);
}

/** Within each head, row 2 j + s of the file is row s * half + j of the model (s = 0, 1). */
function separateHalves(bytes: Uint8Array, rowBytes: number, headRows: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const half = headRows / 2;
  for (let row = 0; row * rowBytes < bytes.length; row += 1) {
    const within = row % headRows;
    const target = row - within + (within % 2) * half + (within >> 1);
    out.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), target * rowBytes);
  }
  return out;
}
